"""Simulate releases on generated traffic, and print how many of them are rolled back, with the limit alone and by odds.

The state machine's own expression analyzes them. Each row is for the error rates of the new version and of the previous
one. A cell has three percentages: the releases that are rolled back because of the new version or an alarm, those that
are rolled back because they are inconclusive, and those that succeed. Then comes the median of the minutes until a
rollback.

The second table has the smallest error rates that a release finds: see scripts/pathtolive/release/sensitivity.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pathtolive import tables
from pathtolive.cli import Parser, main, valid
from pathtolive.load import limits
from pathtolive.release import sensitivity
from pathtolive.release.sensitivity import MINUTE
from pathtolive.release.settings import Settings, share, shares
from pathtolive.simulation import INCONCLUSIVE, RELEASED, Case, Result, Rule, pool, simulate

# The alarm fires because of the previous version, so such a release has to ignore it.
REPAIR = "repair"
CASES = {
    "sound": [(0.001, 0.001), (0.003, 0.003), (0.008, 0.008)],
    "shared fault": [(0.015, 0.015)],
    REPAIR: [(0.005, 0.3)],
    "bad": [(0.02, 0.001), (0.05, 0.001), (0.2, 0.001)],
}


def command() -> int:
    """Return 0."""
    parser = Parser(__doc__)
    parser.variable(
        "--releases", "RELEASES", type=int, default=100, metavar="NUMBER", help="releases per cell (default: 100)"
    )
    parser.variable(
        *("--rate", "RATE"),
        type=valid(limits.rates),
        default=[1.0, 5.0, 20.0],
        metavar="RATES",
        help="requests per second of the stage (default: 1,5,20)",
    )
    parser.variable(
        "--steps", "STEPS", type=valid(shares), default=Rule.steps, metavar="PERCENTAGES", help="as in a release"
    )
    parser.variable(
        "--step-minutes", "STEP_MINUTES", type=int, default=Rule.step_minutes, metavar="MINUTES", help="as in a release"
    )
    parser.variable(
        "--bake-minutes", "BAKE_MINUTES", type=int, default=Rule.bake_minutes, metavar="MINUTES", help="as in a release"
    )
    parser.add_argument(
        "--max-error-rate", type=valid(share), default=Rule.limit, metavar="PERCENTAGE", help="as in a release"
    )
    parser.variable("--json", "JSON", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.releases < 1 or min(options.step_minutes, options.bake_minutes + 1) < 1:
        parser.error("--releases and --step-minutes must be at least 1, and --bake-minutes at least 0")
    rule = Rule(options.steps, options.step_minutes, options.bake_minutes, limit=options.max_error_rate)
    rows, found = [], []
    with pool() as analyze_by_odds:
        for name, cases in CASES.items():
            for new, baseline in cases:
                row = {"": f"{name} {100 * new:g}/{100 * baseline:g} %"}
                for rate in options.rate:
                    for column, analyze in (("limit", None), ("odds", analyze_by_odds)):
                        result = simulate(
                            Case(rate, new, baseline, ignores_alarms=name == REPAIR), rule, options.releases, analyze
                        )
                        row[f"{rate:g}/s {column}"] = describe(result)
                        found.append(
                            {"new": new, "baseline": baseline, "per_second": rate, "rule": column, **vars(result)}
                        )
                rows.append(row)
                if not options.json:
                    print(f"{row['']}: {options.releases} releases each", flush=True)
    if options.json:
        print(json.dumps(found))
    else:
        print()
        tables.show(rows)
        print()
        tables.show(smallest(rule, options.rate))
    return 0


def smallest(rule: Rule, rates: Sequence[float]) -> list[dict[str, str]]:
    """Return a table of the smallest error rates that the steps and the bake find, at some requests per second."""
    given = Settings(
        *("live", "2"),
        steps=rule.steps,
        step_seconds=MINUTE * rule.step_minutes,
        bake_seconds=MINUTE * rule.bake_minutes,
        max_error_rate=rule.limit,
    )
    found = {f"{rate:g}/s": sensitivity.smallest(given, MINUTE * rate) for rate in rates}
    names = next(iter(found.values()))
    return [{"smallest error rate": name, **{column: texts[name] for column, texts in found.items()}} for name in names]


def describe(result: Result) -> str:
    """Return a cell of the table."""
    parts = (result.rolled_back, result.shares[INCONCLUSIVE], result.shares[RELEASED])
    minutes = f" ({result.minutes:g} min)" if result.minutes else ""
    return "/".join(f"{100 * part:.0f}" for part in parts) + minutes


if __name__ == "__main__":
    main(command)
