"""Deployments: each holds the configuration of its moment, and a stage serves the one that it points at.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-disable-default-endpoint.html
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import apigateway

from emulator import hooks

# In the deployment's record, so that it is persisted with it. Clients ignore members that are not in AWS's model.
SNAPSHOT = "snapshot"
AUTOMATIC = "Automatic deployment triggered by changes to the Api configuration"


def install() -> None:
    """Put this in front of MiniStack's own deployments, stages, routes and integrations."""
    hooks.wrap(apigateway, "_create_deployment", ["api_id", "data"], _create_deployment)
    hooks.wrap(apigateway, "_delete_deployment", ["api_id", "deployment_id"], _delete_deployment)
    hooks.wrap(apigateway, "_create_stage", ["api_id", "data"], _create_stage)
    hooks.wrap(apigateway, "_update_stage", ["api_id", "stage_name", "data"], _update_stage)
    # Creating an integration, and deleting one without routes, changes nothing that a stage serves.
    hooks.wrap(apigateway, "_create_route", ["api_id", "data"], _change)
    hooks.wrap(apigateway, "_update_route", ["api_id", "route_id", "data"], _change)
    hooks.wrap(apigateway, "_delete_route", ["api_id", "route_id"], _change)
    hooks.wrap(apigateway, "_update_integration", ["api_id", "int_id", "data"], _change)
    hooks.wrap(apigateway, "_update_api", ["api_id", "data"], _update_api)


def served(api_id: str, stage: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a stage serves, ``{"routes": [...], "integrations": {...}}``, or None if nothing is deployed.

    With ``"default_endpoint": False``, it serves custom domains only.
    """
    deployment: dict[str, Any] = apigateway._deployments.get(api_id, {}).get(stage.get("deploymentId")) or {}
    return deployment.get(SNAPSHOT)


def _create_deployment(original: Callable[..., Any], api_id: str, data: Mapping[str, Any]) -> Any:
    stage = apigateway._stages.get(api_id, {}).get(data.get("stageName"))
    if data.get("stageName") and stage is None:
        return apigateway._apigw_error("NotFoundException", "Invalid stage identifier specified", 404)
    status, headers, body = original(api_id, data)
    if status == 201:
        deployment = apigateway._deployments[api_id][json.loads(body)["deploymentId"]]
        deployment[SNAPSHOT] = {
            "routes": copy.deepcopy(list(apigateway._routes.get(api_id, {}).values())),
            "integrations": copy.deepcopy(dict(apigateway._integrations.get(api_id, {}))),
            "default_endpoint": not apigateway._apis[api_id].get("disableExecuteApiEndpoint"),
        }
        if stage is not None:
            stage["deploymentId"] = deployment["deploymentId"]
    return status, headers, body


def _delete_deployment(original: Callable[..., Any], api_id: str, deployment_id: str) -> Any:
    if any(stage.get("deploymentId") == deployment_id for stage in apigateway._stages.get(api_id, {}).values()):
        message = "Active stages pointing to this deployment must be moved or deleted"
        return apigateway._apigw_error("BadRequestException", message, 400)
    return original(api_id, deployment_id)


def _create_stage(original: Callable[..., Any], api_id: str, data: Mapping[str, Any]) -> Any:
    name = data.get("stageName")
    if name in apigateway._stages.get(api_id, {}):
        return apigateway._apigw_error("ConflictException", "Stage already exists", 409)
    if refusal := _refusal(api_id, data):
        return refusal
    answer = original(api_id, data)
    if answer[0] != 201:
        return answer
    stage = apigateway._stages[api_id][name]
    if stage.get("autoDeploy"):
        _deploy(api_id, stage)
    return apigateway._apigw_response(stage, 201)


def _update_stage(original: Callable[..., Any], api_id: str, stage_name: str, data: Mapping[str, Any]) -> Any:
    if refusal := _refusal(api_id, data):
        return refusal
    answer = original(api_id, stage_name, data)
    if answer[0] != 200:
        return answer
    stage = apigateway._stages[api_id][stage_name]
    if data.get("autoDeploy"):
        _deploy(api_id, stage)
    elif not stage.get("autoDeploy"):
        stage.pop("lastDeploymentStatusMessage", None)
    return apigateway._apigw_response(stage)


def _change(original: Callable[..., Any], api_id: str, *arguments: Any) -> Any:
    answer = original(api_id, *arguments)
    if answer[0] < 400:
        for stage in apigateway._stages.get(api_id, {}).values():
            if stage.get("autoDeploy"):
                _deploy(api_id, stage)
    return answer


def _update_api(original: Callable[..., Any], api_id: str, data: Mapping[str, Any]) -> Any:
    if "disableExecuteApiEndpoint" in data:
        return _change(original, api_id, data)
    return original(api_id, data)


def _refusal(api_id: str, data: Mapping[str, Any]) -> Any:
    deployment_id = data.get("deploymentId")
    if deployment_id and deployment_id not in apigateway._deployments.get(api_id, {}):
        message = f"Unable to find Deployment by ID {deployment_id} within the provided Api ID {api_id}"
        return apigateway._apigw_error("NotFoundException", message, 404)
    return None


def _deploy(api_id: str, stage: dict[str, Any]) -> None:
    _, _, body = apigateway._create_deployment(api_id, {"description": AUTOMATIC})
    deployment_id = json.loads(body)["deploymentId"]
    apigateway._deployments[api_id][deployment_id]["autoDeployed"] = True
    stage["deploymentId"] = deployment_id
    stage["lastDeploymentStatusMessage"] = f"Successfully deployed stage with deployment ID '{deployment_id}'"
