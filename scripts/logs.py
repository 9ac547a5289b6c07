"""Print the log lines of a stage: one for each request, with its error if it failed."""

from __future__ import annotations

import argparse
import time

from pathtolive import logs, stack, target
from pathtolive.cli import Parser, main, valid

POLL_SECONDS = 2


def command() -> int:
    """Return 0 if the log can be read."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage whose log is printed")
    parser.variable(
        "--since",
        "SINCE",
        type=valid(logs.since),
        default="15m",
        help="oldest age, such as 2h (default: %(default)s)",
    )
    parser.variable("--follow", "FOLLOW", action="store_true", help="print new lines until Ctrl-C")
    parser.variable("--json", "JSON", action="store_true", help="print the lines without changes, as JSON")
    options = parser.parse_args()
    here = stack.inspect(target.from_environment())
    here.config.stage(options.stage)
    _print(logs.Logs(here, options.stage, options.since), options)
    return 0


def _print(log: logs.Logs, options: argparse.Namespace) -> None:
    while True:
        for line in log.read():
            print(line.text if options.json else line, flush=True)
        if not options.follow:
            return
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main(command)
