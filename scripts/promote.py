"""Make a stage run what another one runs: the same version, and the routes that it serves."""

from __future__ import annotations

import argparse
import difflib
import time
from dataclasses import dataclass
from typing import Any

import rich.console
import rich.syntax

import deploy
import pins
import smoke
import stack
import status
import target
from command import CommandError, main

# API Gateway and Lambda take a moment to follow on AWS.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Promotion:
    """What is promoted, from which stage to which: a version by number and hash, and a gateway deployment by name."""

    source: str
    destination: str
    version: str
    code_sha256: str
    gateway_deployment: str


def promote(here: stack.Stack, source: str, destination: str) -> None:
    """Promote, and see that it is so.

    config.tf is written before Terraform is asked, and put back where Terraform refuses or would change more than
    the promotion does. Where Terraform fails half-way it stays written: the same command goes on from there.

    Raises:
        CommandError: it cannot be done, or what the stage runs then is not what was promoted.
    """
    promotion = _promotion(here, source, destination)
    before = here.config
    after = _with(before, promotion)
    after.write(here.target.config_file)
    try:
        plan = here.plan()
        _refuse_more(plan, promotion)
    except BaseException:
        before.write(here.target.config_file)
        raise
    _show_difference(before, after)
    here.apply(plan)
    _check(here, promotion)


def _promotion(here: stack.Stack, source: str, destination: str) -> Promotion:
    if here.target.workspace != "default":
        raise CommandError(f"Workspace {here.target.workspace} follows the newest in every stage: nothing to promote")
    routes, pin = here.config.stage(source), here.config.stage(destination)
    if source == destination:
        raise CommandError(f"FROM and TO are both {source}: name two stages")
    if pins.NEWEST in {pin.function_version, pin.gateway_deployment}:
        raise CommandError(f"{destination} follows the newest: 'make deploy' is what changes it")
    version = _settled_version(here, source)
    _settled_version(here, destination)
    return Promotion(
        source,
        destination,
        version,
        _code_sha256(here, version),
        _gateway_deployment(here, routes.gateway_deployment),
    )


def _settled_version(here: stack.Stack, stage: str) -> str:
    """Return the version that a stage runs; CommandError where it runs two, by weight."""
    alias = here.target.client("lambda").get_alias(FunctionName=here.outputs["function_name"], Name=stage)
    if weights := alias.get("RoutingConfig", {}).get("AdditionalVersionWeights"):
        raise CommandError(
            f"{stage} is between versions ({alias['FunctionVersion']}, and {weights} beside it): wait for the release "
            "to end, or end it"
        )
    version: str = alias["FunctionVersion"]
    return version


def _code_sha256(here: stack.Stack, qualifier: str) -> str:
    function = here.target.client("lambda").get_function_configuration(
        FunctionName=here.outputs["function_name"], Qualifier=qualifier
    )
    code_sha256: str = function["CodeSha256"]
    return code_sha256


def _gateway_deployment(here: stack.Stack, served: str) -> str:
    """Return the name of the gateway deployment with the routes that are served; a new one where none has them."""
    if served != pins.NEWEST:
        return served
    last = here.config.gateway_deployments[-1:]
    if last and here.outputs["gateway_deployments"].get(last[0], {}).get("routes") == here.outputs["routes"]:
        return last[0]
    return here.config.next_gateway_deployment()


def _with(config: pins.Pins, promotion: Promotion) -> pins.Pins:
    names = config.gateway_deployments
    if promotion.gateway_deployment not in names:
        config = config.with_gateway_deployments([*names, promotion.gateway_deployment])
    return config.with_pin(promotion.destination, pins.Pin(promotion.version, promotion.gateway_deployment))


def _refuse_more(plan: stack.Plan, promotion: Promotion) -> None:
    """Refuse a plan that would deploy something else by the way, such as an artifact that was built since."""
    own = (
        f'module.alias["{promotion.destination}"].',
        f'module.stage["{promotion.destination}"].',
        f'module.api.aws_apigatewayv2_deployment.this["{promotion.gateway_deployment}"]',
        "output.",
    )
    others = [address for address in plan.changes if not address.startswith(own)]
    if others:
        raise CommandError(
            f"There is more to deploy than the promotion: {', '.join(others)}. Run 'make deploy' first, or go back to "
            "the commit that is deployed. Nothing was changed."
        )


def _show_difference(before: pins.Pins, after: pins.Pins) -> None:
    lines = difflib.unified_diff(
        before.text.splitlines(), after.text.splitlines(), "config.tf", "config.tf", lineterm=""
    )
    difference = "\n".join(lines)
    if difference:
        rich.console.Console(soft_wrap=True).print(rich.syntax.Syntax(difference, "diff", background_color="default"))


def _check(here: stack.Stack, promotion: Promotion) -> None:
    """See that the stage runs what was promoted: at Lambda by its hash, through the API by its build info."""
    url = here.stage_url(promotion.destination)
    expected = smoke.build_info(here.stage_url(promotion.source))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while wrong := _difference(here, promotion, url, expected):
        if time.monotonic() > deadline:
            raise CommandError(f"{promotion.destination} does not run what {promotion.source} runs: {wrong}")
        time.sleep(0.5)
    smoke.check(url)


def _difference(here: stack.Stack, promotion: Promotion, url: str, expected: dict[str, Any] | None) -> str | None:
    """Return what is not as promoted, if anything."""
    version = _settled_version(here, promotion.destination)
    code_sha256 = _code_sha256(here, promotion.destination)
    if (version, code_sha256) != (promotion.version, promotion.code_sha256):
        return f"its alias has version {version} with CodeSha256 {code_sha256}, not {promotion}"
    found = smoke.build_info(url)
    if expected is None or found is None:
        # An artifact that was built without git names no revision: the hash has to do.
        return None if expected == found else f"{url}build-info says {found}, not {expected}"
    if (found["function"]["version"], found["long"]) != (promotion.version, expected["long"]):
        return f"{url}build-info says {found}"
    return None


def command() -> int:
    """Return 0 where the stage runs what the other one runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", required=True, dest="source", metavar="STAGE", help="the stage that runs it")
    parser.add_argument("--to", required=True, dest="destination", metavar="STAGE", help="the stage that shall run it")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    deploy.pin(here)
    promote(here, options.source, options.destination)
    status.show(here)
    return 0


if __name__ == "__main__":
    main(command)
