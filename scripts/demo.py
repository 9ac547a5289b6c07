"""Release five versions under load, of which two are rolled back, and draw a picture of it.

The demonstration runs the commands that a person would type, in a clone of the last commit, with its own local AWS. It
fails if any command does not do what it should.

Exit status: 0 if the demonstration succeeded, 1 if it failed.
"""

from __future__ import annotations

import json
from pathlib import Path

import rich.console
import rich.markup

from pathtolive import ports, target
from pathtolive.cli import Parser, main, require, speed, valid
from pathtolive.demo.demonstration import Demonstration
from pathtolive.demo.figures import summary
from pathtolive.demo.story import DEFAULT_SPEED, PICTURE, alone, play


def command() -> int:
    """Return 0 if the demonstration succeeds."""
    parser = Parser(__doc__)
    parser.variable(
        *("--picture", "PICTURE"),
        type=Path,
        default=PICTURE,
        metavar="FILE",
        help="file to draw the picture in (default: %(default)s)",
    )
    parser.variable(
        *("--speed", "SPEED"),
        type=valid(speed),
        default=0.0,
        metavar="TIMES",
        help="speed of waits, metrics, and alarms, relative to AWS "
        f"(default: {DEFAULT_SPEED:g}, or less on a slow or busy machine)",
    )
    parser.variable("--json", "JSON", action="store_true", help="print the results as JSON, and the timeline to stderr")
    options = parser.parse_args()
    # Verify this before the demonstration, not at its end.
    require("matplotlib", target="demo")
    target.ignore_aws_settings()
    console = rich.console.Console(stderr=options.json, soft_wrap=True, highlight=False)
    with alone():
        demo = Demonstration(options.speed, console, port=ports.free())
        try:
            with console.status("The demonstration takes about four minutes"):
                results = play(demo, options.picture.resolve())
        finally:
            demo.stop()
    for line in summary(results):
        console.print(f"[bold]==>[/] {rich.markup.escape(line)}")
    if options.json:
        print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    main(command)
