"""Give every log event an ID, and return all events, in pages.

MiniStack gives no ID to the events of functions, and returns only the first 10,000 events.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import cloudwatch_logs

from emulator import hooks

OK = 200
PAGE = 10_000


def install() -> None:
    """Wrap MiniStack's functions that store and return log events."""
    hooks.wrap(cloudwatch_logs, "_append_log_events", ["stream", "events"], _append)
    hooks.wrap(cloudwatch_logs, "_filter_log_events", ["data"], _filter)


def _append(original: Callable[..., Any], stream: Any, events: Iterable[Mapping[str, Any]]) -> None:
    original(stream, [{"eventId": uuid.uuid4().hex, **event} for event in events])


def _filter(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    """Return a page. Its token is the time of its last event, and the number of events of that time up to there."""
    try:
        start, skipped = map(int, data.get("nextToken", f"{data.get('startTime', 0)} 0").split())
    except ValueError:
        return error_response_json("InvalidParameterException", "The specified nextToken is invalid.", 400)
    limit = min(data.get("limit", PAGE) + skipped, PAGE)
    response = original({**data, "startTime": start, "limit": limit})
    if response[0] != OK:
        return response
    page = json.loads(response[2])
    found = page["events"]
    page["events"] = found[skipped:]
    if len(found) == limit:
        last = found[-1]["timestamp"]
        page["nextToken"] = f"{last} {sum(event['timestamp'] == last for event in found)}"
    return json_response(page)
