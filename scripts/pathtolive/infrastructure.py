"""The infrastructure: all that Terraform manages but the code, and the versions that stages run.

The delivery pipeline changes it in a job of its own, with a role of its own, before it deploys code: docs/pipeline.md.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pathtolive import config_file, deployment, files, plans, progress, recording, routes, smoke, stack, stages
from pathtolive.cli import RefusedError

# What a new version changes of the function.
# https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/lambda_function
CODE = {
    *("code_sha256", "last_modified", "qualified_arn", "qualified_invoke_arn", "source_code_hash"),
    *("source_code_size", "version"),
}
FUNCTION = "module.function.aws_lambda_function.this"
DEPLOYMENT = "module.api.aws_apigatewayv2_deployment.this["


def plan(here: stack.Stack) -> plans.Plan:
    """Plan everything but code, so that no stage moves.

    Raises:
        CommandError: Terraform cannot create a plan.
    """
    _name_routes(here)
    return _plan(here, stages.active(here))


def apply(here: stack.Stack, reviewed: Path | None = None) -> None:
    """Apply the plan of everything but code, if it has changes; in an empty account, it creates every stage.

    ``reviewed`` is the file of a plan that people have reviewed: what it does not have is refused.

    Raises:
        RefusedError: the plan has changes that were not reviewed.
        CommandError: Terraform fails, or a stage does not answer.
    """
    _name_routes(here)
    found = stages.active(here)

    def verify(made: plans.Plan) -> None:
        if reviewed:
            _refuse_unreviewed(made, reviewed)
        recording.refuse_moves(here, made, found)

    deployment.apply(here, lambda: _plan(here, found), verify)
    recording.record_ended(here, created=here.stages.keys() - found.keys())
    with progress.step(f"Verify that {', '.join(here.stages)} answer"):
        for stage in here.stages:
            smoke.check(here.stage_url(stage))


def _name_routes(here: stack.Stack) -> None:
    """Keep the gateway deployment with the newest routes, even if main does not record its name yet."""
    if here.deployed:
        recording.write(here, routes.named(here))


def _plan(here: stack.Stack, found: Mapping[str, stages.Active]) -> plans.Plan:
    """Return a plan that keeps the code of the function, if there is one."""
    return here.plan(_kept(here, found), code="function_name" not in here.deployed)


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
    new = [
        str(change)
        for change in made.resources
        if (before := known.get(change.address)) is None
        or before["verb"] != change.verb
        or not change.attributes.keys() <= before["attributes"].keys()
    ]
    if new:
        raise RefusedError(
            "These changes are not in the plan that was reviewed:\n  "
            + "\n  ".join(new)
            + "\nNothing was changed. Run all jobs of the workflow again, for a new plan to review."
        )


def refuse(here: stack.Stack, made: plans.Plan) -> None:
    """Refuse a plan that changes more than code, and the stages that follow the newest version.

    Raises:
        RefusedError: it does; the message names each change.
    """
    following = [stage for stage, pin in here.stages.items() if pin.function_version == config_file.NEWEST]
    allowed = {
        address
        for stage in following
        for address in (
            f'module.alias["{stage}"].aws_lambda_alias.this',
            f'module.stage["{stage}"].aws_apigatewayv2_stage.this',
        )
    }
    others = [
        str(change)
        for change in made.resources
        if not (
            (change.address in allowed and change.verb == "update")
            or (change.address == FUNCTION and change.verb == "update" and change.attributes.keys() <= CODE)
            or (change.address.startswith(DEPLOYMENT) and change.verb == "create")
        )
    ]
    if others:
        raise RefusedError(
            "The plan changes the infrastructure, too:\n  "
            + "\n  ".join(others)
            + f"\nNothing was changed. First, run: make infrastructure{here.target.make_variables}"
        )
