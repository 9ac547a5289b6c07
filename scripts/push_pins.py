"""Push the pins that the previous command wrote to config.tf: to main or, if main is protected, in a pull request.

Only the pins change on main, whatever was pushed in the meantime. GITHUB_TOKEN is the token of the workflow.
"""

from __future__ import annotations

from pathtolive import actions, config_file, remote, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if main or a pull request records the pins."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="test", help="stage that the previous command moved")
    options = parser.parse_args()
    ours = config_file.read(target.SOURCE / "config.tf")
    ours.stage(options.stage)
    pushed = remote.push_pins(options.stage, ours)
    actions.notice("Pins", pushed.sentence)
    actions.summarize(pushed.sentence)
    return 0


if __name__ == "__main__":
    main(command)
