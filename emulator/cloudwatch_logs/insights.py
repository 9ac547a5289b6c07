"""Run queries of CloudWatch Logs Insights: MiniStack ignores most of their commands.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
"""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id
from ministack.services import cloudwatch_logs

from emulator import hooks
from emulator.cloudwatch_logs import language
from emulator.cloudwatch_logs.language import TIMESTAMP, QueryError, Time, Value

OK = 200
MAX_RESULTS = 10_000
# https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
PLATFORM = re.compile(r"(START|END|REPORT) RequestId: (\S+)")
REPORTED = {"Duration": "@duration", "Billed Duration": "@billedDuration", "Init Duration": "@initDuration"}


def install() -> None:
    """Put this in front of MiniStack's StartQuery."""
    hooks.wrap(cloudwatch_logs, "_start_query", ["data"], _start)


def _start(original: Callable[..., Any], data: Mapping[str, Any]) -> Any:
    """Let MiniStack check the log groups and store the query, then store its results."""
    try:
        commands = language.parse(data.get("queryString", ""))
    except QueryError as error:
        return error_response_json("MalformedQueryException", str(error), 400)
    response = original({**data, "queryString": "limit 1"})
    if response[0] != OK:
        return response
    events = cloudwatch_logs._collect_query_records(
        cloudwatch_logs._resolve_query_log_groups(data), data.get("startTime", 0), data.get("endTime", time.time())
    )
    table = language.run(commands, [dict(fields(event)) for event in events])
    query = cloudwatch_logs._queries[json.loads(response[2])["queryId"]]
    query["queryString"] = data["queryString"]
    query["statistics"]["recordsMatched"] = float(table.matched)
    query["results"] = [
        [{"field": name, "value": _shown(record[name])} for name in shown if record.get(name) is not None]
        for record in table.records[: min(data.get("limit", MAX_RESULTS), MAX_RESULTS)]
        for shown in [(*table.shown, *({"@ptr"} & record.keys()))]
    ]
    return response


def fields(event: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the fields of an event: those of every event, of Lambda's own lines, and of a message that is JSON.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
    """
    message = event["@message"]
    if platform := PLATFORM.match(message):
        yield "@type", platform[1]
        yield "@requestId", platform[2]
        for part in message.split("\t")[1:]:
            name, _, value = part.partition(": ")
            if name in REPORTED:
                yield REPORTED[name], float(value.removesuffix(" ms"))
    try:
        content = json.loads(message)
    except ValueError:
        content = None
    if isinstance(content, dict):
        yield from _flat(content)
    yield from ((name, event[name]) for name in ("@ptr", "@message", "@logStream"))
    yield "@log", f"{get_account_id()}:{event['@log']}"
    yield TIMESTAMP, Time(event["_timestamp_ms"])


def _flat(content: Any, name: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the values of JSON by their path, such as ``items.0.id``."""
    match content:
        case dict() | list():
            for key, value in content.items() if isinstance(content, dict) else enumerate(content):
                yield from _flat(value, f"{name}.{key}" if name else str(key))
        case bool():
            yield name, json.dumps(content)
        case _:
            yield name, content


def _shown(value: Value) -> str:
    """Return a value as text: a time in UTC, a number without needless digits."""
    if isinstance(value, Time):
        moment = datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"
    return f"{round(value, 4):.15g}" if isinstance(value, float | int) else str(value)
