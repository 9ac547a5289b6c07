"""Record a stage's version and routes in config.tf and Terraform's state, and refuse any other change."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import rich.console
import rich.syntax

from pathtolive import config_file, stack, stages
from pathtolive.cli import CommandError


def record(here: stack.Stack, stage: str, pin: config_file.Pin) -> None:
    """Make config.tf and Terraform's state say that a stage runs what its alias runs, and bring it its routes.

    Where the routes stay, Terraform but reads what there is: a release can be recorded whatever else is to deploy.

    Raises:
        CommandError: Terraform refuses it, or there is more to deploy than the routes; config.tf is as it was then.
    """
    before = here.config
    after = with_pin(before, stage, pin)
    found = stages.active(here)
    if stage in found and pin.gateway_deployment == found[stage].gateway_deployment:
        after.write(here.target.config_file)
        try:
            here.refresh(stages.kept(here, found))
        except CommandError:
            before.write(here.target.config_file)
            raise
    else:
        here.apply(planned(here, after, only=(stage, pin.gateway_deployment)))
    show_difference(before, after)


def planned(here: stack.Stack, after: config_file.Pins, *, only: tuple[str, str], alias: bool = False) -> stack.Plan:
    """Write config.tf and return the plan that it makes; ``only`` names the one stage and routes that it may change.

    Raises:
        CommandError: Terraform refuses it, or it changes more, such as the stage's alias unless ``alias`` allows it;
            config.tf is as it was then.
    """
    before, (stage, _) = here.config, only
    after.write(here.target.config_file)
    try:
        plan = here.plan(stages.kept(here, stages.active(here), moved={stage}))
        _refuse_more(plan, *only, alias=alias)
    except BaseException:
        before.write(here.target.config_file)
        raise
    return plan


def with_pin(config: config_file.Pins, stage: str, pin: config_file.Pin) -> config_file.Pins:
    """Return a config.tf with another pin for a stage, and with the name of its gateway deployment."""
    names = config.gateway_deployments
    if pin.gateway_deployment not in names:
        config = config.with_gateway_deployments([*names, pin.gateway_deployment])
    return config.with_pin(stage, pin)


def gateway_deployment(here: stack.Stack, served: str) -> str:
    """Return the name of the gateway deployment with the routes that are served; a new one if none has them."""
    if served != config_file.NEWEST:
        return served
    deployed: dict[str, dict[str, str]] = here.outputs["gateway_deployments"]
    same = [name for name, deployment in deployed.items() if deployment["routes"] == here.outputs["routes"]]
    if same:
        return same[-1]
    # An older config.tf does not name every gateway deployment, and each name stands for one set of routes.
    return here.config.with_gateway_deployments([*here.config.gateway_deployments, *deployed]).next_gateway_deployment()


def _refuse_more(plan: stack.Plan, stage: str, gateway_deployment: str, *, alias: bool) -> None:
    """Refuse a plan that would deploy something else by the way, such as an artifact that was built since."""
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
            f"There is more to deploy than the promotion: {', '.join(others)}. Run 'make deploy' first, or go back to "
            "the commit that is deployed. Nothing was changed."
        )


def show_difference(before: config_file.Pins, after: config_file.Pins) -> None:
    """Print what changes in config.tf."""
    lines = difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    difference = "\n".join(["config.tf:", *changed]) if changed else ""
    if difference:
        rich.console.Console(soft_wrap=True).print(rich.syntax.Syntax(difference, "diff", background_color="default"))


def refuse_weights(here: stack.Stack, plan: stack.Plan, found: Mapping[str, stages.Active]) -> None:
    """Refuse a plan that would change the alias of a stage whose traffic is being shifted.

    Raises:
        RefusedError: there is such a stage.
    """
    for stage, running in found.items():
        if f'module.alias["{stage}"].aws_lambda_alias.this' in plan.changes:
            stages.refuse_weights(here, stage, running)
