"""Save queries of CloudWatch Logs Insights under a name, which MiniStack does not know.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeQueryDefinitions.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteQueryDefinition.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import cloudwatch_logs

from emulator.cloudwatch_logs.refusals import RefusalError

MAX_RESULTS = 1000
# The greatest length of each text. Only log groups have a pattern.
LENGTHS = {"name": 255, "queryString": 10_000}
LOG_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
# MiniStack saves and resets the definitions together with its queries. The keys of those are texts.
KIND = "definition"


class MissingError(RefusalError):
    """There is no definition with the ID."""

    code = "ResourceNotFoundException"


def put(data: Mapping[str, Any]) -> dict[str, Any]:
    """Create a definition, or replace the one with the ID. Several definitions can have the same name."""
    for field, most in LENGTHS.items():
        text = data.get(field) or ""
        if not 1 <= len(text) <= most:
            raise RefusalError(
                f"1 validation error detected: Value '{text}' at '{field}' failed to satisfy constraint: "
                f"Member must have length from 1 to {most}"
            )
    groups = data.get("logGroupNames") or []
    if invalid := [group for group in groups if not LOG_GROUP.fullmatch(group)]:
        raise RefusalError(f"The log group name {invalid[0]} is not valid.")
    identity = data.get("queryDefinitionId")
    if identity is not None:
        _check_exists(identity)
    made = {
        "queryLanguage": data.get("queryLanguage", "CWLI"),
        "queryDefinitionId": identity or new_uuid(),
        "name": data["name"],
        "queryString": data["queryString"],
        "lastModified": int(time.time() * 1000),
        "logGroupNames": groups,
        "parameters": data.get("parameters") or [],
    }
    cloudwatch_logs._queries[KIND, made["queryDefinitionId"]] = made
    return {"queryDefinitionId": made["queryDefinitionId"]}


def describe(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of the definitions."""
    prefix, language = data.get("queryDefinitionNamePrefix", ""), data.get("queryLanguage")
    found = [
        definition
        for _, definition in sorted(_definitions().items())
        if definition["name"].startswith(prefix) and language in {None, definition["queryLanguage"]}
    ]
    most = data.get("maxResults", MAX_RESULTS)
    if not 1 <= most <= MAX_RESULTS:
        raise RefusalError(f"maxResults must be from 1 to {MAX_RESULTS}.")
    start = int(data.get("nextToken", 0))
    more = {"nextToken": str(start + most)} if start + most < len(found) else {}
    return {"queryDefinitions": found[start : start + most]} | more


def delete(data: Mapping[str, Any]) -> dict[str, Any]:
    """Delete the definition with the ID."""
    identity = data.get("queryDefinitionId", "")
    _check_exists(identity)
    del cloudwatch_logs._queries[KIND, identity]
    return {"success": True}


def _check_exists(identity: str) -> None:
    if identity not in _definitions():
        raise MissingError("The specified query definition does not exist.")


def _definitions() -> dict[str, dict[str, Any]]:
    """Return the definitions of the account in the region, by their IDs."""
    return {key[1]: value for key, value in cloudwatch_logs._queries.items() if isinstance(key, tuple)}
