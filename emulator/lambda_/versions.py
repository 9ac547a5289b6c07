"""Never use the number of a version again, not even for a function that was deleted and created again.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ministack.core import persistence
from ministack.services import lambda_svc

from emulator import hooks

_next: dict[str, int] = {}


def install() -> None:
    """Put this in front of MiniStack's own CreateFunction and DeleteFunction."""
    if _file().exists():
        _next.update(json.loads(_file().read_text()))
    hooks.wrap(lambda_svc, "_create_function", ["data"], _create_function)
    hooks.wrap(lambda_svc, "_delete_function", ["name", "query_params", "path_qualifier"], _delete_function)


def _create_function(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    answer = original({**data, "Publish": False})
    if answer[0] != 201:
        return answer
    name = data["FunctionName"]
    arn = lambda_svc._func_arn(name)
    function = lambda_svc._functions[name]
    function["next_version"] = _next.get(arn, 1)
    if not data.get("Publish"):
        return answer
    # Like PublishVersion, which can then detect that nothing has changed since.
    status, headers, body = lambda_svc._publish_version(name, {})
    return status, headers, json.dumps({**json.loads(body), "FunctionArn": arn}).encode()


def _delete_function(
    original: Callable[..., Any], name: str, query_params: Mapping[str, Any], path_qualifier: str | None = None
) -> Any:
    function = lambda_svc._functions.get(name)
    answer = original(name, query_params, path_qualifier)
    if function is not None and name not in lambda_svc._functions:
        _next[lambda_svc._func_arn(name)] = function["next_version"]
        if persistence.PERSIST_STATE:
            _file().write_text(json.dumps(_next))
    return answer


def _file() -> Path:
    return Path(os.environ.get("STATE_DIR", "")) / "next-versions.json"
