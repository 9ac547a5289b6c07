"""Refuse releases and promotions of a stage until a time. A freeze does not refuse rollbacks.

To release nevertheless, set IGNORE_FREEZE_REASON, which is recorded. To end the freeze, run make unfreeze.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pathtolive import stack, target
from pathtolive.cli import Parser, main, valid
from pathtolive.release.control import reason
from pathtolive.release.engine import Engine


def future(text: str) -> datetime:
    """Return a time in the future, rounded up to a minute.

    Raises:
        ValueError: it is not an ISO 8601 time with a time zone, or not in the future.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time such as 2026-12-27T08:00Z") from error
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone. Add Z for UTC, or an offset such as +01:00")
    if found <= datetime.now(UTC):
        raise ValueError(f"{text} is not in the future")
    minute = found.replace(second=0, microsecond=0)
    return minute if minute == found else minute + timedelta(minutes=1)


def command() -> int:
    """Return 0 if the stage is frozen."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to freeze")
    parser.variable(
        *("--until", "UNTIL"),
        example="2026-12-27T08:00Z",
        type=valid(future),
        metavar="TIME",
        help="end of the freeze, with its time zone, such as 2026-12-27T08:00Z",
    )
    parser.variable(
        "--reason", "REASON", example='"no changes over Christmas"', type=valid(reason), help="reason for the freeze"
    )
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    here.config.stage(options.stage)
    engine = Engine(here, options.stage)
    freeze = engine.control.freeze(options.until, options.reason)
    print(f"{options.stage} is {freeze}. Releases and promotions are refused, and rollbacks are not.")
    if running := engine.machine.running():
        print(f"{running.name} continues. To abort it, run: {engine.rollback}")
    return 0


if __name__ == "__main__":
    main(command)
