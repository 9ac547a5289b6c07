"""Write into config.tf and Terraform's state what a stage runs, and refuse whatever else would change by the way."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import rich.console
import rich.syntax

import pins
import releases
import stack
from command import CommandError


def record(here: stack.Stack, stage: str, pin: pins.Pin) -> None:
    """Make config.tf and Terraform's state say that a stage runs what its alias runs, and bring it its routes.

    Where the routes stay, Terraform but reads what there is: a release can be recorded whatever else is to deploy.

    Raises:
        CommandError: Terraform refuses it, or there is more to deploy than the routes; config.tf is as it was then.
    """
    before = here.config
    after = with_pin(before, stage, pin)
    if pin.gateway_deployment == before.stage(stage).gateway_deployment:
        after.write(here.target.config_file)
        try:
            here.refresh()
        except CommandError:
            before.write(here.target.config_file)
            raise
    else:
        here.apply(planned(here, after, only=(stage, pin.gateway_deployment)))
    show_difference(before, after)


def planned(here: stack.Stack, after: pins.Pins, *, only: tuple[str, str], alias: bool = False) -> stack.Plan:
    """Write config.tf and return the plan that it makes; ``only`` names the one stage and routes that it may change.

    Raises:
        CommandError: Terraform refuses it, or it changes more, such as the stage's alias unless ``alias`` allows it;
            config.tf is as it was then.
    """
    before = here.config
    after.write(here.target.config_file)
    try:
        plan = here.plan()
        _refuse_more(plan, *only, alias=alias)
    except BaseException:
        before.write(here.target.config_file)
        raise
    return plan


def with_pin(config: pins.Pins, stage: str, pin: pins.Pin) -> pins.Pins:
    """Return a config.tf with another pin for a stage, and with the name of its gateway deployment."""
    names = config.gateway_deployments
    if pin.gateway_deployment not in names:
        config = config.with_gateway_deployments([*names, pin.gateway_deployment])
    return config.with_pin(stage, pin)


def gateway_deployment(here: stack.Stack, served: str) -> str:
    """Return the name of the gateway deployment with the routes that are served; a new one where none has them."""
    if served != pins.NEWEST:
        return served
    last = here.config.gateway_deployments[-1:]
    if last and here.outputs["gateway_deployments"].get(last[0], {}).get("routes") == here.outputs["routes"]:
        return last[0]
    return here.config.next_gateway_deployment()


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


def show_difference(before: pins.Pins, after: pins.Pins) -> None:
    """Print what changes in config.tf."""
    lines = difflib.unified_diff(
        before.text.splitlines(), after.text.splitlines(), "config.tf", "config.tf", lineterm=""
    )
    difference = "\n".join(lines)
    if difference:
        rich.console.Console(soft_wrap=True).print(rich.syntax.Syntax(difference, "diff", background_color="default"))


def refuse_to_undo(here: stack.Stack, stages: Iterable[str]) -> None:
    """Refuse to go on where the alias of one of these stages was moved by a release that nobody recorded.

    Raises:
        CommandError: Terraform would take it back; the message says how to record it.
    """
    if "release_state_machine_arn" not in here.deployed:
        return
    engine = releases.Engine(here)
    for stage in stages:
        if found := engine.unrecorded(stage):
            raise CommandError(
                f"{stage} runs version {found.to_version} since {found.name}, which config.tf does not say: run "
                f"'make release STAGE={stage}{here.target.make_variables}' to record it. Nothing was changed."
            )


def refuse_weights(here: stack.Stack, plan: stack.Plan) -> None:
    """Refuse a plan that would change the alias of a stage whose traffic is being shifted.

    Raises:
        CommandError: there is such a stage.
    """
    engine = releases.Engine(here)
    deployed = here.deployed.get("stages", {})
    for stage in here.stages:
        if stage not in deployed or f'module.alias["{stage}"].aws_lambda_alias.this' not in plan.changes:
            continue
        if weights := engine.alias(stage).weights:
            raise CommandError(
                f"{stage} is between versions ({weights} beside the old one), and this would change its alias: wait "
                f"for the release to end, or end it with 'make rollback STAGE={stage}{here.target.make_variables}'. "
                "Nothing was changed."
            )
