"""Apply the plan of everything but code: no stage moves, and an existing function keeps its code.

In an empty account, this creates every stage. The delivery pipeline runs it in a job of its own: docs/pipeline.md.
"""

from __future__ import annotations

import json
from pathlib import Path

from pathtolive import actions, changed_stages, files, infrastructure, stack, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if the infrastructure is as in the configuration or, with --plan, if there is a plan."""
    parser = Parser(__doc__)
    parser.variable("--plan", "PLAN", metavar="FILE", type=Path, help="only plan, and write the changes to this file")
    parser.variable(
        *("--reviewed", "REVIEWED"),
        metavar="FILE",
        type=Path,
        help="refuse changes that are not in this file, which --plan wrote",
    )
    parser.variable(
        *("--plan-json", "PLAN_JSON"),
        metavar="FILE",
        type=Path,
        help="with --plan: also write the plan as JSON, for make scan; it contains the state",
    )
    options = parser.parse_args()
    here = stack.prepare(target.from_environment(), new_workspace=True)
    changed_stages.pin_renamed(here)
    if not options.plan:
        infrastructure.apply(here, options.reviewed)
        return 0
    plan = infrastructure.plan(here)
    infrastructure.save(plan, options.plan)
    changes = plan.resources
    title = f"Plan of the infrastructure: {plan.summary}"
    print("\n".join([title, *map(str, changes)]))
    details = here.shown(plan) if changes else ""
    actions.summarize(title, changes, details)
    if options.plan_json:
        files.write(options.plan_json, json.dumps(plan.content).encode())
    # Outputs alone are no reason for an approval: the next deployment writes them.
    actions.output("changes", str(bool(changes)).lower())
    return 0


if __name__ == "__main__":
    main(command)
