"""Publish the artifact, move the stages that follow the newest version, and verify that every stage answers.

A pinned stage keeps its active version, even if config.tf has another pin, unless --stage names the stage.
"""

from __future__ import annotations

from pathtolive import changed_stages, deployment, stack, stages, status, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if everything is deployed and answers."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", help="also move this stage to its pin in config.tf")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment(), new_workspace=True)
    if options.stage:
        here.config.stage(options.stage)
    changed_stages.pin_renamed(here)
    deployment.deploy(here, {options.stage} - {None})
    status.conclude(here)
    stages.report(here, stages.active(here))
    return 0


if __name__ == "__main__":
    main(command)
