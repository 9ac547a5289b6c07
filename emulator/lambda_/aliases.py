"""Refuse aliases that AWS refuses: https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

from emulator import hooks


def install() -> None:
    """Put this in front of MiniStack's own CreateAlias and UpdateAlias."""
    hooks.wrap(lambda_svc, "_create_alias", ["func_name", "data"], _create_alias)
    hooks.wrap(lambda_svc, "_update_alias", ["func_name", "alias_name", "data"], _update_alias)


def _create_alias(original: Callable[..., Any], func_name: str, data: Mapping[str, Any]) -> Any:
    return _refusal(func_name, data.get("FunctionVersion"), data) or original(func_name, data)


def _update_alias(original: Callable[..., Any], func_name: str, alias_name: str, data: Mapping[str, Any]) -> Any:
    alias = (lambda_svc._functions.get(func_name) or {}).get("aliases", {}).get(alias_name, {})
    version = data.get("FunctionVersion", alias.get("FunctionVersion"))
    return _refusal(func_name, version, {"RoutingConfig": alias.get("RoutingConfig"), **data}) or original(
        func_name, alias_name, data
    )


def _refusal(name: str, version: str | None, data: Mapping[str, Any]) -> Any:
    function = lambda_svc._functions.get(name)
    if function is None or version is None:
        return None
    weights: Mapping[str, float] = (data.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    for wanted in (version, *weights):
        if wanted != "$LATEST" and wanted not in function["versions"]:
            return lambda_svc._function_qualifier_not_found(name, wanted)
    reasons = {
        "$LATEST is not supported for an alias pointing to more than 1 version": "$LATEST" in {version, *weights},
        "Number of items in AdditionalVersionWeights cannot be greater than 1": len(weights) > 1,
        f"Function version {version} is already included in routing": version in weights,
        "Version weights must be between 0.0 and 1.0": not all(0 <= weight <= 1 for weight in weights.values()),
    }
    found = [reason for reason, holds in reasons.items() if weights and holds]
    return error_response_json("InvalidParameterValueException", found[0], 400) if found else None
