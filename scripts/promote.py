"""Make a stage run the version and serve the routes of another stage, all traffic in one step."""

from __future__ import annotations

from pathtolive import promotion, recording, stack, status, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if the stage runs the version of the other stage."""
    parser = Parser(__doc__)
    parser.variable("--from", "FROM", example="dev", dest="source", metavar="STAGE", help="stage to promote from")
    parser.variable("--to", "TO", example="test", dest="destination", metavar="STAGE", help="stage to promote to")
    parser.variable(
        *("--bake-seconds", "BAKE_SECONDS"),
        type=int,
        default=0,
        metavar="SECONDS",
        help="how long the version is watched while it has all traffic, and rolled back if it fails (default: 0)",
    )
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    recording.record_ended(here)
    promotion.promote(here, options.source, options.destination, options.bake_seconds)
    status.conclude(here)
    return 0


if __name__ == "__main__":
    main(command)
