"""Give every log event an ID, return all events, in pages, and delete the oldest events.

MiniStack gives no ID to the events of functions, and returns only the first 10,000 events.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilteredLogEvent.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import json
import operator
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ministack.core import persistence
from ministack.core.responses import error_response_json, json_response, request_scope
from ministack.services import cloudwatch_logs

from emulator import hooks, identifiers
from emulator.persistence.database import Changes, Row

# AWS has no such limit. A request writes about five events, and a thousand of them take half a megabyte.
MAX_EVENTS = 50_000
# Old events are deleted after each of this number of new ones.
NEW_EVENTS = 1_000
DAY_MILLISECONDS = 86_400_000
TIMESTAMP = operator.itemgetter("timestamp")
OK = 200
PAGE = 10_000

_new = itertools.count(1)


def install() -> None:
    """Wrap MiniStack's functions that store and return log events."""
    hooks.wrap(cloudwatch_logs, "_append_log_events", ["stream", "events"], _append)
    hooks.wrap(cloudwatch_logs, "_filter_log_events", ["data"], _filter)


def _append(original: Callable[..., Any], stream: Any, events: Iterable[Mapping[str, Any]]) -> None:
    identified = [{"eventId": identifiers.digits(32), **event} for event in events]
    original(stream, identified)
    if persistence.PERSIST_STATE and identified:
        EVENTS.add(stream, identified)
    numbers = [next(_new) for _ in identified]
    if any(number % NEW_EVENTS == 0 for number in numbers):
        for (account, region, _), group in cloudwatch_logs._log_groups.all_items():
            with request_scope(account, region), cloudwatch_logs._log_events_lock:
                _delete_oldest(list(group["streams"].values()), group.get("retentionInDays"))


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


class Events:
    """The streams and their events, which are saved together with those of the same request."""

    name = "log events"

    def __init__(self) -> None:
        self._streams: dict[tuple[str, ...], Any] = {}
        self._number = 0
        # Lambda's threads add events.
        self._lock = threading.Lock()

    def add(self, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        """Note new events in the record of their stream."""
        with self._lock:
            self._number += 1
            stream.setdefault("unsaved", []).append((self._number, events))

    def changes(self) -> Changes:
        """Return the new events, the streams that are gone, and the events that are deleted."""
        changes = Changes()
        found = {
            (*group, name): stream
            for group, content in cloudwatch_logs._log_groups.all_items()
            for name, stream in list(content["streams"].items())
        }
        for key, stream in found.items():
            if self._streams.get(key) is not stream:
                changes.deleted.add(json.dumps(key))
                changes.rows[json.dumps(key), ""] = _record(stream)
            changes.rows |= {(json.dumps(key), number): value for number, value in self._changed(stream)}
        changes.deleted |= {json.dumps(key) for key in self._streams.keys() - found.keys()}
        self._streams = found
        return changes

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore the streams."""
        for row in rows:
            account, region, group, name = json.loads(row.owner)
            streams = cloudwatch_logs._log_groups.get_scoped(account, region, group)["streams"]
            if not row.key:
                streams[name] = {**json.loads(row.value), "events": [], "saved": deque()}
                self._streams[account, region, group, name] = streams[name]
                continue
            self._number = max(self._number, int(row.key))
            events = json.loads(row.value)
            streams[name]["events"] += events
            streams[name]["saved"].append((int(row.key), max(map(TIMESTAMP, events))))
        for stream in self._streams.values():
            stream["events"].sort(key=TIMESTAMP)

    def _changed(self, stream: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        """Yield the keys and values of the rows of a stream that have changed; those that are deleted are None."""
        saved: deque[tuple[int, int]] = stream.setdefault("saved", deque())
        with self._lock:
            unsaved = stream.pop("unsaved", [])
        if unsaved:
            yield "", _record(stream)
        for number, events in unsaved:
            yield _key(number), json.dumps(events)
            saved.append((number, max(map(TIMESTAMP, events))))
        kept = stream["events"]
        while saved and (not kept or saved[0][1] < kept[0]["timestamp"]):
            yield _key(saved.popleft()[0]), None


def _record(stream: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in stream.items() if name not in {"events", "saved", "unsaved"}})


def _key(number: int) -> str:
    return f"{number:015}"


EVENTS = Events()
