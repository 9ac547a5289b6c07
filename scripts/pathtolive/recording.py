"""Record the version and routes of a stage in config.tf and Terraform's state, and refuse other changes with it."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Mapping

import rich.console
import rich.syntax

from pathtolive import config_file, stack, stages
from pathtolive.cli import CommandError
from pathtolive.release.engine import Engine


def record(here: stack.Stack, stage: str, pin: config_file.Pin) -> None:
    """Record the pin of a stage, and deploy its routes if they change.

    If the routes do not change, Terraform only refreshes its state: a release can be recorded while other changes wait
    to be deployed.

    Raises:
        CommandError: Terraform failed, or there is more to deploy than the routes; config.tf is unchanged.
    """
    before = here.config
    after = with_pin(before, stage, pin)
    found = stages.active(here)
    if stage in found and pin.gateway_deployment == found[stage].gateway_deployment:
        with written(here, after):
            here.refresh(stages.kept(here, found))
    else:
        here.apply(planned(here, after, only=(stage, pin.gateway_deployment)))
    show_difference(before, after)


def planned(here: stack.Stack, after: config_file.Pins, *, only: tuple[str, str], alias: bool = False) -> stack.Plan:
    """Write config.tf and return the plan for it; ``only`` names the stage and the routes that the plan may change.

    Raises:
        CommandError: Terraform cannot plan it, or the plan changes more, such as the stage's alias unless ``alias``
            allows that; config.tf is unchanged.
    """
    stage, _ = only
    with written(here, after):
        plan = here.plan(stages.kept(here, stages.active(here), moved={stage}))
        _refuse_more(plan, *only, alias=alias)
    return plan


@contextlib.contextmanager
def written(here: stack.Stack, after: config_file.Pins) -> Iterator[None]:
    """Write config.tf, and restore it if what follows fails or is interrupted."""
    before = here.config
    here.write(after)
    try:
        yield
    except BaseException:
        here.write(before)
        raise


def with_pin(config: config_file.Pins, stage: str, pin: config_file.Pin) -> config_file.Pins:
    """Return a config.tf with a new pin for a stage, and with the name of its gateway deployment."""
    names = config.gateway_deployments
    if pin.gateway_deployment not in names:
        config = config.with_gateway_deployments([*names, pin.gateway_deployment])
    return config.with_pin(stage, pin)


def gateway_deployment(here: stack.Stack, served: str) -> str:
    """Return the name of the gateway deployment with the routes that a stage serves; a new name if there is none."""
    if served != config_file.NEWEST:
        return served
    deployed: dict[str, dict[str, str]] = here.outputs["gateway_deployments"]
    same = [name for name, deployment in deployed.items() if deployment["routes"] == here.outputs["routes"]]
    if same:
        return same[-1]
    # An older config.tf does not name every gateway deployment, and each name stands for one set of routes.
    return here.config.with_gateway_deployments([*here.config.gateway_deployments, *deployed]).next_gateway_deployment()


def _refuse_more(plan: stack.Plan, stage: str, gateway_deployment: str, *, alias: bool) -> None:
    """Refuse a plan that would also deploy something else, such as an artifact that was built since."""
    own = [
        f'module.stage["{stage}"].',
        f'module.api.aws_apigatewayv2_deployment.this["{gateway_deployment}"]',
        "output.",
    ]
    if alias:
        own.append(f'module.alias["{stage}"].')
    others = [address for address in plan.changes if not address.startswith(tuple(own))]
    if others:
        raise CommandError(
            f"There are other changes to deploy: {', '.join(others)}. Deploy them first with 'make deploy', or check "
            "out the commit that is deployed. Nothing was changed."
        )


def show_difference(before: config_file.Pins, after: config_file.Pins) -> None:
    """Print the difference between two states of config.tf."""
    lines = difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    difference = "\n".join(["config.tf:", *changed]) if changed else ""
    if difference:
        rich.console.Console(soft_wrap=True).print(rich.syntax.Syntax(difference, "diff", background_color="default"))


def refuse_weights(here: stack.Stack, plan: stack.Plan, found: Mapping[str, stages.Active]) -> None:
    """Refuse a plan that would change the alias of a stage while a release of it is in progress.

    Raises:
        RefusedError: there is such a stage.
    """
    for stage, running in found.items():
        if f'module.alias["{stage}"].aws_lambda_alias.this' in plan.changes:
            Engine(here).refuse_weights(stage, running.weights)
