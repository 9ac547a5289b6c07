"""The version and the routes of each stage on AWS, and the pins that keep them as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pathtolive import config_file, stack
from pathtolive.release.aliases import Aliases, MissingAliasError
from pathtolive.release.engine import Engine


@dataclass(frozen=True)
class Active:
    """The version that a stage's alias points to, its weights, and the gateway deployment that the stage serves.

    ``gateway_deployment`` is a name of config.tf, or "newest" if the stage deploys automatically.
    """

    version: str
    weights: Mapping[str, float]
    gateway_deployment: str


def active(here: stack.Stack) -> dict[str, Active]:
    """Return the active version and the routes of each deployed stage of config.tf, from Lambda and API Gateway.

    A stage without an alias is left out. Terraform's state can be older than a release, so it is not used.
    """
    deployed = here.deployed.get("stages", {})
    if here.target.workspace != "default" or not deployed:
        return {}
    aliases = Aliases(here)
    served = _served(here)
    found = {}
    for stage in here.config.stages:
        if stage not in deployed:
            continue
        try:
            alias = aliases.read(stage)
        except MissingAliasError:
            continue
        found[stage] = Active(
            alias.version,
            alias.weights,
            served.get(stage, deployed[stage].get("gateway_deployment", config_file.NEWEST)),
        )
    return found


def _served(here: stack.Stack) -> dict[str, str]:
    """Return the name of the gateway deployment that each stage serves, if it has one."""
    names = {deployment["id"]: name for name, deployment in here.outputs["gateway_deployments"].items()}
    served = {}
    pages = here.target.client("apigatewayv2").get_paginator("get_stages").paginate(ApiId=here.outputs["api_id"])
    for stage in (stage for page in pages for stage in page["Items"]):
        if stage.get("AutoDeploy"):
            served[stage["StageName"]] = config_file.NEWEST
        elif stage.get("DeploymentId") in names:
            served[stage["StageName"]] = names[stage["DeploymentId"]]
    return served


def kept(here: stack.Stack, found: Mapping[str, Active], *, moved: Collection[str] = ()) -> dict[str, config_file.Pin]:
    """Return the pins that Terraform must apply instead of those in config.tf, so that no other stage moves.

    A stage that follows "newest" moves. So does a stage in ``moved``, unless config.tf does not pin it: a stage that
    is deployed keeps its version until a pin says otherwise.
    """
    result = {}
    for stage, running in found.items():
        configured = here.config.stage(stage)
        version = None if configured.function_version == config_file.NEWEST else running.version
        deployment = configured.gateway_deployment
        if stage in moved:
            version = None if configured.function_version else version
        elif deployment != config_file.NEWEST:
            deployment = running.gateway_deployment
        result[stage] = config_file.Pin(version, deployment)
    return result | _missing(here, found, moved)


def _missing(here: stack.Stack, found: Mapping[str, Active], moved: Collection[str]) -> dict[str, config_file.Pin]:
    """Return the pins of unpinned stages whose aliases were deleted: the versions that Terraform's state has."""
    return {
        stage: config_file.Pin(deployed["function_version"], here.stages[stage].gateway_deployment)
        for stage, deployed in here.deployed.get("stages", {}).items()
        if stage in here.stages and stage not in {*found, *moved} and here.stages[stage].function_version is None
    }


def recordable(configured: config_file.Pin, running: Active) -> config_file.Pin:
    """Return the pin that records the version and routes of a stage; what follows "newest" still does."""
    return config_file.Pin(
        config_file.NEWEST if configured.function_version == config_file.NEWEST else running.version,
        config_file.NEWEST if configured.gateway_deployment == config_file.NEWEST else running.gateway_deployment,
    )


def report(here: stack.Stack, found: Mapping[str, Active]) -> None:
    """Print each stage that differs from its pin in config.tf, since when, and both ways to change that."""
    for stage, running in found.items():
        configured = here.config.stage(stage)
        if configured.function_version is None or recordable(configured, running) == configured:
            continue
        variables = f"STAGE={stage}{here.target.make_variables}"
        print(
            f"\n{stage} differs from its pin in config.tf, and stays as it is:\n"
            f"  active   version {running.version}, gateway deployment {running.gateway_deployment}\n"
            f"  pin      version {configured.function_version}, gateway deployment {configured.gateway_deployment}\n"
            f"{since(here, stage, running.version)}\n"
            f"To record the active version in config.tf:  make record {variables}\n"
            f"To move {stage} to its pin in config.tf:    make deploy {variables}"
        )


def since(here: stack.Stack, stage: str, version: str) -> str:
    """Return a sentence that names the release which moved a stage to the version that it runs, and when."""
    last = Engine(here, stage).last()
    if last is None or last.to_version != version or last.ended is None:
        return f"No release, promotion, or rollback in the history of {stage} moved it to version {version}."
    return f"{stage} runs version {version} since {last.ended.astimezone():%Y-%m-%d %H:%M:%S} ({last.name})."
