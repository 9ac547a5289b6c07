"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html."""

from __future__ import annotations

import time
import uuid

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


def test_log_event_keeps_its_id(client: Client) -> None:
    logs, group = client("logs"), f"contract-{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=group)
    try:
        logs.create_log_stream(logGroupName=group, logStreamName="it")
        event = {"timestamp": int(time.time() * 1000), "message": "hello"}
        logs.put_log_events(logGroupName=group, logStreamName="it", logEvents=[event])
        ids = [logs.filter_log_events(logGroupName=group)["events"][0]["eventId"] for _ in range(2)]
        assert ids[0] == ids[1]
    finally:
        logs.delete_log_group(logGroupName=group)
