"""Show the whole path by itself: a good release, a bad one that is caught and rolled back, and the fix, under load.

It works in a clone of the last commit, on a local AWS of its own, with the commands that a person would type, and
fails where any of them does not do what it should.

Exit status: 0 all was as it should be, 1 it was not, or could not be shown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import rich.console
import rich.markup

from pathtolive import target
from pathtolive.cli import main, require, speed_argument
from pathtolive.demo.story import DEFAULT_SPEED, PICTURE, Demonstration, alone, free_port, play, summary


def command() -> int:
    """Return 0 where all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=PICTURE, metavar="FILE", help="where to draw it (%(default)s)")
    parser.add_argument(
        "--speed",
        type=speed_argument,
        default=DEFAULT_SPEED,
        metavar="TIMES",
        help="how much faster than on AWS waits, metric periods and alarms pass (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, and the time line to stderr")
    options = parser.parse_args()
    # Not only after the minutes that the story takes.
    require("matplotlib", target="demo")
    target.ignore_aws_settings()
    console = rich.console.Console(stderr=options.json, soft_wrap=True, highlight=False)
    with alone():
        demo = Demonstration(options.speed, console, port=free_port())
        try:
            with console.status("The demonstration takes about three minutes"):
                figures = play(demo, options.picture.resolve())
        finally:
            demo.stop()
    for line in summary(figures):
        console.print(f"[bold]==>[/] {rich.markup.escape(line)}")
    if options.json:
        print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    main(command)
