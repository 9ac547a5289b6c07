"""The routes of a stage: API Gateway keeps each set of routes in a deployment, which config.tf names."""

from __future__ import annotations

from pathtolive import config_file, stack
from pathtolive.cli import CommandError


def deployment(here: stack.Stack, served: str) -> str:
    """Return the name of the gateway deployment with the routes that a stage serves.

    ``served`` is the name of the stage's gateway deployment, or "newest".

    Raises:
        CommandError: no gateway deployment has the newest routes.
    """
    if served != config_file.NEWEST:
        return served
    if name := _newest(here):
        return name
    raise CommandError(
        f"No gateway deployment has the newest routes. Create it with: make deploy{here.target.make_variables}"
    )


def serve(here: stack.Stack, stage: str, name: str) -> None:
    """Let a stage serve the routes of a gateway deployment, or leave it at the newest.

    https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html

    Raises:
        CommandError: there is no such gateway deployment.
    """
    if name == config_file.NEWEST:
        return
    found = here.outputs["gateway_deployments"].get(name)
    if found is None:
        raise CommandError(
            f"There is no gateway deployment {name}. Create it with: make deploy{here.target.make_variables}"
        )
    gateway, stage_id = here.target.client("apigatewayv2"), {"ApiId": here.outputs["api_id"], "StageName": stage}
    if gateway.get_stage(**stage_id).get("DeploymentId") != found["id"]:
        gateway.update_stage(**stage_id, DeploymentId=found["id"])


def named(here: stack.Stack) -> config_file.Pins:
    """Return config.tf with a name for the newest routes, so that they can be promoted."""
    config = here.config
    name = _newest(here)
    unknown = here.target.workspace != "default" or here.outputs["routes"] is None
    if unknown or name in config.gateway_deployments:
        return config
    deployed: dict[str, dict[str, str]] = here.outputs["gateway_deployments"]
    if name is None:
        # An older config.tf does not name every gateway deployment, and each name stands for one set of routes.
        known = [*config.gateway_deployments, *deployed]
        name = config.with_gateway_deployments(known).next_gateway_deployment()
    return config.with_gateway_deployments([*config.gateway_deployments, name])


def _newest(here: stack.Stack) -> str | None:
    """Return the name of the last gateway deployment that has the newest routes, or None."""
    deployed: dict[str, dict[str, str]] = here.outputs["gateway_deployments"]
    same = [name for name, found in deployed.items() if found["routes"] == here.outputs["routes"]]
    return same[-1] if same else None
