"""Print the releases, promotions, and rollbacks of a stage in the last 90 days, newest first."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from pathtolive import stack, tables, target
from pathtolive.cli import Parser, main, valid
from pathtolive.release import view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import IN_PROGRESS, PROMOTED, RELEASED, ROLLED_BACK, Past, brief

COLORS = {RELEASED: "green", PROMOTED: "green", IN_PROGRESS: "yellow"}
FOLDED = {"outcome": len(ROLLED_BACK), "reason": tables.SENTENCES}


def history(here: stack.Stack, stage: str, limit: int | None) -> list[Past]:
    """Return the releases of a stage, newest first, at most ``limit`` of them."""
    here.config.stage(stage)
    return list(itertools.islice(Engine(here, stage).past(), limit))


def as_json(one: Past) -> dict[str, Any]:
    """Return an object with ISO 8601 times; ``ended`` and ``seconds`` are None if the release is in progress.

    ``metrics`` and ``odds`` are those of the last analysis, or None if nothing was analyzed.
    """
    return {
        "name": one.name,
        "kind": one.kind,
        "from": one.from_version,
        "to": one.to_version,
        "started": one.started.isoformat(),
        "ended": one.ended.isoformat() if one.ended else None,
        "seconds": (one.ended - one.started).total_seconds() if one.ended else None,
        "outcome": one.outcome,
        "reason": one.reason,
        "metrics": one.metrics,
        "odds": one.odds,
    }


def color(word: str) -> str:
    """Return the color of an outcome in the table."""
    return COLORS.get(word, "yellow" if word.startswith(ROLLED_BACK) else "red")


def show(past: list[Past]) -> None:
    """Print releases as a table."""
    rows = [
        {
            "when": f"{one.started.astimezone():%Y-%m-%d %H:%M}",
            "what": one.kind,
            "from": one.from_version or "",
            "to": one.to_version,
            "took": view.duration((one.ended - one.started).total_seconds()) if one.ended else "",
            "outcome": one.word,
            "reason": brief(one.reason),
        }
        for one in past
    ]
    tables.show(rows, folded=FOLDED, colors={one.word: color(one.word) for one in past})


def _count(text: str) -> int:
    """Return a number of releases; raise ValueError if it is none."""
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"{text!r} is not a number of releases")
    return int(text)


def command() -> int:
    """Return 0 if the history could be read."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage whose history is shown")
    parser.add_argument(
        "--limit",
        type=valid(_count),
        default=20,
        metavar="NUMBER",
        help="maximum number of releases, 0 for all (default: %(default)s)",
    )
    parser.variable("--json", "JSON", action="store_true", help="print a JSON list instead of a table")
    options = parser.parse_args()
    here = stack.inspect(target.from_environment())
    past = history(here, options.stage, options.limit or None)
    if options.json:
        print(json.dumps([as_json(one) for one in past], indent=2))
    elif past:
        show(past)
    else:
        print(f"{options.stage} has no releases, promotions, or rollbacks.")
    return 0


if __name__ == "__main__":
    main(command)
