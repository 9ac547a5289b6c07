"""The access log of a stage: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from emulator.lambda_ import invocations

# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]+[A-Za-z0-9_])")

_streams: dict[str, str] = {}


def line(form: str, values: Mapping[str, Any]) -> str:
    """Return a line of the log; a variable without a value is ``-``. No value can end the line or a JSON string."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        return "-" if found in {None, ""} else json.dumps(str(found))[1:-1]

    return VARIABLE.sub(value, form)


def write(stage: Mapping[str, Any], values: Callable[[], Mapping[str, Any]]) -> None:
    """Write the line of a request if the stage has an access log. ``values`` returns the values of the variables."""
    settings = stage.get("accessLogSettings") or {}
    destination, form = settings.get("destinationArn", ""), settings.get("format")
    group = destination.partition(":log-group:")[2].removesuffix(":*")
    if group and form:
        stream = _streams.setdefault(group, uuid.uuid4().hex)
        invocations.write_log(group, stream, [line(form, values())])
