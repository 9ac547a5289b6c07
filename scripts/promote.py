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
        "--version", "VERSION", metavar="NUMBER", help="version to promote (default: that of the stage to promote from)"
    )
    parser.variable(
        "--routes", "ROUTES", metavar="NAME", help="gateway deployment to promote (default: that of the same stage)"
    )
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    recording.record_ended(here)
    promotion.promote(here, options.source, options.destination, options.version, options.routes)
    status.conclude(here)
    return 0


if __name__ == "__main__":
    main(command)
