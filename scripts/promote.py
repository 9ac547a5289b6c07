"""Make a stage run the version and serve the routes of another stage, all traffic in one step."""

from __future__ import annotations

from pathtolive import promotion, recording, stack, status, target
from pathtolive.cli import Parser, main, valid
from pathtolive.release.control import reason
from pathtolive.release.settings import read_settings


def command() -> int:
    """Return 0 if the stage runs the version of the other stage."""
    parser = Parser(__doc__)
    parser.variable("--from", "FROM", example="dev", dest="source", metavar="STAGE", help="stage to promote from")
    parser.variable("--to", "TO", example="test", dest="destination", metavar="STAGE", help="stage to promote to")
    parser.variable(
        "--version", "VERSION", metavar="NUMBER", help="version to promote (default: that of the stage to promote from)"
    )
    parser.variable(
        "--routes",
        "ROUTES",
        metavar="NAME",
        help="gateway deployment to promote (default: that of the stage to promote from)",
    )
    parser.variable(
        *("--bake-seconds", "BAKE_SECONDS"),
        type=int,
        default=0,
        metavar="SECONDS",
        help="how long to watch the version while it has all traffic; it is rolled back if it fails (default: 0)",
    )
    parser.variable(
        *("--ignore-freeze-reason", "IGNORE_FREEZE_REASON"),
        metavar="REASON",
        help="promote even if the stage is frozen, and record why",
    )
    parser.variable(
        *("--ignore-alarms-reason", "IGNORE_ALARMS_REASON"),
        metavar="REASON",
        help="promote with a bake even if alarms of the stage fire, and record why",
    )
    parser.variable(
        "--reason", "REASON", type=valid(reason), help="reason to promote a version that was rolled back before"
    )
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    recording.record_ended(here)
    given = read_settings(
        {
            "version": options.version or "",
            "bake_seconds": options.bake_seconds,
            "ignore_alarms_reason": options.ignore_alarms_reason,
            "ignore_freeze_reason": options.ignore_freeze_reason,
            "ignore_rejection_reason": options.reason,
        }
    )
    promotion.promote(here, options.source, options.destination, given, options.routes)
    status.conclude(here)
    return 0


if __name__ == "__main__":
    main(command)
