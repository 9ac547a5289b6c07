"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.python.emulator.contract.support import Client, Function
from tests.waiting import eventually

SOURCE = """
    def handler(event, context):
        print("hello")
        print("again")
"""


def test_log_events_of_a_function_have_ids(function: Function) -> None:
    function.create(SOURCE)
    function.call("it")
    logs = function.client("logs")

    def written() -> list[str] | None:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function.name}")["events"]
        messages = [event["message"].strip() for event in events]
        return [event["eventId"] for event in events] if {"hello", "again"} <= set(messages) else None

    ids = eventually(written)
    assert len(set(ids)) == len(ids)


@pytest.fixture
def group(client: Client) -> Iterator[str]:
    """Yield the name of a log group with two streams, and delete it after the test."""
    logs, name = client("logs"), f"contract-{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=name)
    for stream in ("one", "other"):
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
    yield name
    logs.delete_log_group(logGroupName=name)


def put(logs: Any, group: str, stream: str, numbers: Iterable[int], at: int) -> None:
    """Write an event for each number, two in a millisecond."""
    events = [{"timestamp": at + number // 2, "message": str(number)} for number in numbers]
    for start in range(0, len(events), 10_000):
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events[start : start + 10_000])


def pages(logs: Any, group: str, **given: Any) -> list[list[int]]:
    found = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **given)
    return [[int(event["message"]) for event in page["events"]] for page in found]


def test_log_event_keeps_its_id(client: Client, group: str) -> None:
    logs = client("logs")
    put(logs, group, "one", [7], int(time.time() * 1000))
    ids = [logs.filter_log_events(logGroupName=group)["events"][0]["eventId"] for _ in range(2)]
    assert ids[0] == ids[1]


def test_every_log_event_is_on_one_page(client: Client, group: str) -> None:
    logs, at = client("logs"), int(time.time() * 1000) - 60_000
    put(logs, group, "one", range(12_000), at)
    put(logs, group, "other", range(12_000, 12_100), at)
    found = pages(logs, group)
    assert len(found) > 1
    assert max(map(len, found)) <= 10_000
    assert sorted(number for page in found for number in page) == list(range(12_100))


def test_log_events_of_a_page_are_limited(client: Client, group: str) -> None:
    logs, at = client("logs"), int(time.time() * 1000) - 60_000
    put(logs, group, "one", range(7), at)
    found = pages(logs, group, limit=3, startTime=at + 1, endTime=at + 3)
    assert max(map(len, found)) <= 3
    assert [number for page in found for number in page] == [2, 3, 4, 5, 6]


def test_invalid_token_of_a_page_is_refused(client: Client, group: str) -> None:
    logs = client("logs")
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.filter_log_events(logGroupName=group, nextToken="none")
