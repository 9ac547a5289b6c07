"""Measure the service, local AWS, and the commands, and compare the figures with their budgets.

Sections:
  handlers   import and invocations of the service, a bare handler, and one with Powertools, in new processes
  runtime    the same in AWS's runtime interface emulator: the first call, and warm invocations
  emulators  local AWS beside plain MiniStack: requests per second, memory per invocation
  commands   deploy, promote, and rollback on local AWS, while their stage receives 20 requests per second

Figures depend on the machine and on what else it does. The handlers, and the emulators, take turns.

Exit status: 0 if every budget is kept, 1 if not.
"""

from __future__ import annotations

import json
import os
from typing import Any

from pathtolive import tables
from pathtolive.bench.sections import SECTIONS, Report, sections
from pathtolive.cli import CommandError, Parser, main, require, valid


def command() -> int:
    """Return 0 if every budget is kept."""
    parser = Parser(__doc__)
    parser.variable(
        *("--sections", "SECTIONS"),
        type=valid(sections),
        default=list(SECTIONS),
        metavar="NAMES",
        help="sections to measure, such as handlers,runtime (default: all)",
    )
    parser.add_argument("--processes", type=int, default=15, help="new processes per handler (default: %(default)s)")
    parser.add_argument(
        "--invocations",
        type=int,
        default=2000,
        help="warm invocations per process, in the runtime a tenth of them (default: %(default)s)",
    )
    parser.add_argument(
        "--memory-invocations",
        type=int,
        default=10_000,
        help="invocations over which the emulators' memory is compared (default: %(default)s)",
    )
    parser.variable("--json", "JSON", action="store_true", help="print the figures and the missed budgets as JSON")
    options = parser.parse_args()
    if min(options.processes, options.invocations, options.memory_invocations) < 1:
        parser.error("--processes, --invocations and --memory-invocations must be at least 1")
    require("aws_lambda_powertools", target="bench")
    figures: dict[str, Any] = {}
    missed: list[str] = []
    for name in options.sections:
        report = SECTIONS[name](options)
        figures[name] = report.figures
        missed += report.missed
        if not options.json:
            show(name, report)
    if options.json:
        print(json.dumps(figures | {"missed": missed}))
    if missed:
        raise CommandError("\n".join(missed))
    return 0


def show(name: str, report: Report) -> None:
    """Print a section."""
    print(f"\n{name} (load average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors)\n")
    for number, rows in enumerate(report.tables):
        if number:
            print()
        tables.show(rows, folded={"step": tables.SENTENCES})
    if report.note:
        print(f"\n{report.note}", flush=True)


if __name__ == "__main__":
    main(command)
