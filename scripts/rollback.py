"""Roll back a stage to its previous version in one step, or abort its release if one is in progress."""

from __future__ import annotations

from pathtolive import stack, status, target
from pathtolive.cli import Parser, main
from pathtolive.release.rollback import rollback


def command() -> int:
    """Return 0 if the rollback succeeds."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to roll back")
    parser.variable(
        "--version", "VERSION", metavar="NUMBER", help="version to roll back to (default: the previous one)"
    )
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    rollback(here, options.stage, options.version)
    status.conclude(here)
    return 0


if __name__ == "__main__":
    main(command)
