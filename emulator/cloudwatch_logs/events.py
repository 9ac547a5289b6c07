"""Give every log event an ID, which MiniStack does not do for the events of functions, and delete the oldest events.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilteredLogEvent.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import operator
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch_logs

from emulator import hooks

# AWS has no such limit. A request writes about five events, and a thousand of them take half a megabyte.
MAX_EVENTS = 50_000
# Old events are deleted after each of this number of new ones.
NEW_EVENTS = 1_000
DAY_MILLISECONDS = 86_400_000
TIMESTAMP = operator.itemgetter("timestamp")

_new = itertools.count(1)


def install() -> None:
    """Wrap MiniStack's function that stores log events."""
    hooks.wrap(cloudwatch_logs, "_append_log_events", ["stream", "events"], _append)


def _append(original: Callable[..., Any], stream: Any, events: Iterable[Mapping[str, Any]]) -> None:
    identified = [{"eventId": uuid.uuid4().hex, **event} for event in events]
    original(stream, identified)
    numbers = [next(_new) for _ in identified]
    if any(number % NEW_EVENTS == 0 for number in numbers):
        for (account, region, _), group in cloudwatch_logs._log_groups.all_items():
            with request_scope(account, region), cloudwatch_logs._log_events_lock:
                _delete_oldest(list(group["streams"].values()), group.get("retentionInDays"))


def _delete_oldest(streams: list[dict[str, Any]], days: int | None) -> None:
    """Delete the events of a group that are older than some days, and the oldest of too many."""
    oldest = time.time() * 1000 - days * DAY_MILLISECONDS if days else 0
    deleted = [bisect.bisect_left(stream["events"], oldest, key=TIMESTAMP) for stream in streams]
    excess = sum(len(stream["events"]) for stream in streams) - sum(deleted) - MAX_EVENTS
    if excess > 0:
        kept = (
            [(TIMESTAMP(event), number) for event in stream["events"][start : start + excess]]
            for number, (stream, start) in enumerate(zip(streams, deleted, strict=True))
        )
        for _, number in itertools.islice(heapq.merge(*kept), excess):
            deleted[number] += 1
    for stream, count in zip(streams, deleted, strict=True):
        if count:
            for event in stream["events"][:count]:
                cloudwatch_logs._log_records.pop(event.get("eventId"), None)
            # A request that reads the events keeps the list that it has.
            stream["events"] = stream["events"][count:]
