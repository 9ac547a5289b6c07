"""Never use the number of a version again, not even for a function that was deleted and created again.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ministack.services import lambda_svc

from emulator import hooks
from emulator.persistence.database import Changes, Row


class Numbers:
    """The next number of each function that was deleted."""

    name = "version numbers"

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._changed: set[str] = set()

    def next(self, arn: str) -> int:
        """Return the number of the first version of a new function."""
        return self._next.get(arn, 1)

    def keep(self, arn: str, number: int) -> None:
        """Keep the next number of a function that is deleted."""
        self._next[arn] = number
        self._changed.add(arn)

    def changes(self) -> Changes:
        """Return the numbers that have changed."""
        changed, self._changed = self._changed, set()
        return Changes(rows={(arn, ""): str(self._next[arn]) for arn in changed})

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore the numbers."""
        self._next |= {row.owner: int(row.value) for row in rows}


NUMBERS = Numbers()


def install() -> None:
    """Put this in front of MiniStack's own CreateFunction and DeleteFunction."""
    hooks.wrap(lambda_svc, "_create_function", ["data"], _create_function)
    hooks.wrap(lambda_svc, "_delete_function", ["name", "query_params", "path_qualifier"], _delete_function)


def _create_function(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    answer = original({**data, "Publish": False})
    if answer[0] != 201:
        return answer
    name = data["FunctionName"]
    arn = lambda_svc._func_arn(name)
    function = lambda_svc._functions[name]
    function["next_version"] = NUMBERS.next(arn)
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
        NUMBERS.keep(lambda_svc._func_arn(name), function["next_version"])
    return answer
