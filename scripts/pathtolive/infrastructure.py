"""The infrastructure: all that Terraform manages but the code, and the versions that stages run.

The delivery pipeline changes it in a job of its own, with a role of its own, before it deploys code: docs/pipeline.md.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pathtolive import config_file, deployment, files, plans, recording, routes, stack, stages
from pathtolive.cli import CommandError, RefusedError

PLANS = 3


def plan(here: stack.Stack) -> plans.Plan:
    """Plan everything but code, so that no stage moves.

    Raises:
        CommandError: Terraform cannot create a plan.
    """
    _name_routes(here)
    return _plan(here)[0]


def apply(here: stack.Stack, reviewed: Path | None = None) -> None:
    """Apply the plan of everything but code, if it has changes; in an empty account, it creates every stage.

    ``reviewed`` is the file of a plan that people have reviewed: what it does not have is refused.

    Raises:
        RefusedError: the plan has changes that were not reviewed.
        CommandError: Terraform fails, or a stage does not answer.
    """
    _name_routes(here)
    before = found = stages.active(here)
    required = deployment.answering(here, found)

    def make() -> plans.Plan:
        nonlocal found
        made, found = _plan(here)
        return made

    def verify(made: plans.Plan) -> None:
        if reviewed:
            _refuse_unreviewed(made, reviewed)
        recording.refuse_moves(here, made, found)

    deployment.apply(here, make, verify)
    created = here.stages.keys() - before.keys()
    recording.record_ended(here, created=created)
    deployment.verify_answers(here, required | created)


def _name_routes(here: stack.Stack) -> None:
    """Keep the gateway deployment with the newest routes, even if main does not record its name yet."""
    if here.deployed:
        recording.write(here, routes.named(here))


def _plan(here: stack.Stack) -> tuple[plans.Plan, dict[str, stages.Active]]:
    """Return a plan that keeps the code of the function, if there is one, and the versions that it keeps.

    Raises:
        CommandError: stages moved while each plan was made.
    """
    for _ in range(PLANS):
        found = stages.active(here)
        made = here.plan(_kept(here, found), code="function_name" not in here.deployed)
        # A release that ended in between has moved a stage.
        aliases = set(map(plans.alias, found))
        moved = [change for change in made.resources if change.address in aliases and change.verb == "update"]
        if not moved:
            return made, found
    raise CommandError(
        "Stages moved while Terraform created the plan:\n  "
        + "\n  ".join(map(str, moved))
        + "\nNothing was changed. Run the command again when no release is in progress."
    )


def _kept(here: stack.Stack, found: Mapping[str, stages.Active]) -> dict[str, config_file.Pin]:
    """Return the pins that keep every deployed stage at its version, also those that follow the newest one."""
    return {
        stage: dataclasses.replace(pin, function_version=found[stage].version) if stage in found else pin
        for stage, pin in stages.kept(here, found).items()
    }


def save(plan: plans.Plan, path: Path) -> None:
    """Write the changes of a plan to a file, for people to review and for ``apply`` to compare."""
    files.write(path, json.dumps([dataclasses.asdict(change) for change in plan.resources], indent=2).encode())


def _refuse_unreviewed(made: plans.Plan, reviewed: Path) -> None:
    """Refuse changes that the reviewed plan does not have. A plan that was applied in part has fewer."""
    known: dict[str, Any] = {change["address"]: change for change in json.loads(reviewed.read_text())}
    new = [str(change) for change in made.resources if not _is_reviewed(change, known.get(change.address))]
    if new:
        raise RefusedError(
            "These changes are not in the plan that was reviewed:\n  "
            + "\n  ".join(new)
            + "\nNothing was changed. Run all jobs of the workflow again to get a new plan to review."
        )


def _is_reviewed(change: plans.Change, before: Mapping[str, Any] | None) -> bool:
    """Return whether the reviewed plan has a change. A resource that it creates may exist since an interruption."""
    if before is None:
        return False
    if before["verb"] == "create":
        return change.verb in {"create", "import", "import and update", "update"}
    return bool(before["verb"] == change.verb and change.attributes.keys() <= before["attributes"].keys())
