"""Publish the artifact, and move the stages that are meant to move."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import botocore.exceptions

from pathtolive import config_file, plans, progress, recording, routes, smoke, stack, stages, versions
from pathtolive.cli import CommandError, RefusedError
from pathtolive.target import NAME

# Such as EntityAlreadyExists of IAM, and "Alias already exists" of Lambda.
EXISTS = re.compile(r"already\s?exists", re.IGNORECASE)
# What a new version changes of the function.
# https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/lambda_function
CODE_ATTRIBUTES = {
    *("code_sha256", "last_modified", "qualified_arn", "qualified_invoke_arn", "source_code_hash"),
    *("source_code_size", "version"),
}
FUNCTION = "module.function.aws_lambda_function.this"
GATEWAY_DEPLOYMENT = "module.api.aws_apigatewayv2_deployment.this["
ATTEMPTS = 3
REQUESTS = 3


def deploy(here: stack.Stack, moved: Collection[str] = (), *, only_code: bool = False) -> None:
    """Deploy the stack; the stages in ``moved`` move to their pins in config.tf.

    Raises:
        RefusedError: with ``only_code``, a plan changes the infrastructure, too.
        CommandError: there is no artifact, a pin names a version that does not exist, a release would be disturbed,
            Terraform fails, the artifact is not published, or a stage does not answer.
    """
    if not here.target.artifact.exists():
        raise CommandError("There is no artifact. Build it with: make build")
    if here.deployed:
        recording.record_ended(here)
        recording.write(here, routes.named(here))
    found = stages.active(here)
    required = answering(here, found)
    _refuse_missing_versions(here, [stage for stage in here.stages if stage in moved or stage not in found])
    kept = stages.kept(here, found, moved=moved)

    def verify(plan: plans.Plan) -> None:
        if only_code:
            refuse_infrastructure(here, plan)
        recording.refuse_moves(here, plan, found)

    apply(here, lambda: here.plan(kept), verify)
    if missing := versions.unpublished(here):
        print(f"An earlier deploy was interrupted: {missing}.", flush=True)
        with progress.step("Publish the artifact") as step:
            step.result = f"Published version {versions.publish(here)}"
    with_routes = routes.named(here)
    if missing or with_routes != here.config:
        recording.write(here, with_routes)
        apply(here, lambda: here.plan(kept), verify)
    recording.record_ended(here, created=here.stages.keys() - found.keys())
    verify_answers(here, {*required, *here.following, *moved, *(here.stages.keys() - found.keys())})


def refuse_infrastructure(here: stack.Stack, made: plans.Plan) -> None:
    """Refuse a plan that changes anything except the code, the stages that follow it, and new gateway deployments.

    Raises:
        RefusedError: it does; the message names each change.
    """
    allowed = set(map(plans.alias, here.following))
    allowed |= {f'module.stage["{stage}"].aws_apigatewayv2_stage.this' for stage in here.following}
    others = [
        str(change)
        for change in made.resources
        if not (
            (change.address in allowed and change.verb == "update")
            or (change.address == FUNCTION and change.verb == "update" and change.attributes.keys() <= CODE_ATTRIBUTES)
            or (change.address.startswith(GATEWAY_DEPLOYMENT) and change.verb == "create")
        )
    ]
    if others:
        raise RefusedError(
            "The plan changes the infrastructure, too:\n  "
            + "\n  ".join(others)
            + f"\nNothing was changed. First, run: make infrastructure{here.target.make_variables}"
        )


def answering(here: stack.Stack, found: Collection[str]) -> set[str]:
    """Return the stages that answer before a deployment, which must not end that. A throttled request is no failure."""
    return {stage for stage in found if any(smoke.get(here.stage_url(stage))[0] == smoke.OK for _ in range(REQUESTS))}


def verify_answers(here: stack.Stack, required: Collection[str]) -> None:
    """Verify that stages answer. Of the others, one that does not is named, because this may deploy its repair.

    Raises:
        CommandError: a stage in ``required`` does not answer.
    """
    with progress.step(f"Verify that {', '.join(here.stages)} answer"):
        for stage in here.stages:
            if stage in required:
                smoke.check(here.stage_url(stage), here.logs_command(stage))
    for stage in here.stages.keys() - set(required) - answering(here, here.stages.keys() - set(required)):
        print(
            f"{stage} still does not answer with status {smoke.OK}. Read its log with: {here.logs_command(stage)}",
            flush=True,
        )


def apply(here: stack.Stack, make: Callable[[], plans.Plan], verify: Callable[[plans.Plan], None]) -> None:
    """Make a plan and apply it, unless ``verify`` raises an error.

    Raises:
        CommandError: Terraform fails.
    """
    for attempt in range(ATTEMPTS):
        plan = make()
        if here.untaint(plan):
            plan = make()
        verify(plan)
        try:
            here.apply(plan)
        except CommandError as error:
            if attempt == ATTEMPTS - 1 or not EXISTS.search(str(error)):
                raise
            # If the response of a request is lost, the provider repeats the request, and then what it created exists.
            # The next plan imports it.
            print(
                "A resource exists already, so the response to its creation was probably lost. Continuing ...",
                flush=True,
            )
        else:
            return


def _refuse_missing_versions(here: stack.Stack, moving: Collection[str]) -> None:
    """Refuse a pin to a version that does not exist, before anything changes."""
    for stage in moving:
        version = here.stages[stage].function_version
        if version in {None, config_file.NEWEST}:
            continue
        try:
            here.target.client("lambda").get_function(
                FunctionName=here.deployed.get("function_name", NAME), Qualifier=version
            )
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise CommandError(f"Lambda did not return version {version}: {error}") from error
            raise CommandError(
                f"{stage} is pinned to version {version}, which does not exist. In {here.target.config_file}, pin an "
                "existing version, or remove function_version to start with the newest"
            ) from error
