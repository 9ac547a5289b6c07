"""Show the releases, promotions, and rollbacks of a stage in the last 90 days, newest first."""

from __future__ import annotations

import itertools
import json
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

from pathtolive import stack, target
from pathtolive.cli import Parser, main
from pathtolive.release import view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import IN_PROGRESS, SUCCEEDED, Past

COLOURS = {SUCCEEDED: "green", IN_PROGRESS: "yellow"}


def history(here: stack.Stack, stage: str, limit: int | None) -> list[Past]:
    """Return the releases of a stage, newest first, at most ``limit`` of them."""
    here.config.stage(stage)
    return list(itertools.islice(Engine(here).past(stage), limit))


def as_json(one: Past) -> dict[str, Any]:
    """Return an object with ISO 8601 times; ``ended`` and ``seconds`` are None if the release is in progress."""
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
    }


def show(past: list[Past]) -> None:
    """Print releases as a table."""
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("when", "what", "from", "to", "took", "outcome"):
        table.add_column(heading, no_wrap=True)
    table.add_column("reason", overflow="fold", min_width=20)
    for one in past:
        table.add_row(
            f"{one.started.astimezone():%Y-%m-%d %H:%M:%S}",
            one.kind,
            one.from_version or "-",
            one.to_version,
            view.duration((one.ended - one.started).total_seconds()) if one.ended else "-",
            rich.text.Text(one.outcome, style=COLOURS.get(one.outcome, "red")),
            rich.text.Text(one.reason),
        )
    console = rich.console.Console()
    console.width = max(console.width, 120)
    console.print(table)


def command() -> int:
    """Return 0 if the history could be read."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage whose history is shown")
    parser.add_argument(
        "--limit", type=int, default=20, help="maximum number of releases, 0 for all (default: %(default)s)"
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
