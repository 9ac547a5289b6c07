"""Local AWS needs about the same memory after any number of invocations."""

from __future__ import annotations

import functools
import http.client
import math
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from emulator import clock
from emulator.cloudwatch import store
from emulator.cloudwatch.statistics import MAX_VALUES, Statistics, merged
from emulator.cloudwatch_logs import events
from tests import processes
from tests.conftest import REGION, local_aws
from tests.python.emulator.contract.support import Api, Function

SOURCE = """
    def handler(event, context):
        print('{"level": "INFO", "message": "GET /", "status": 200}')
        return {"statusCode": 200}
"""
HALF = 1500
# Before metrics were kept by the minute, an invocation took 13 kB. Its five log events take 2.3 kB, until there are as
# many as are kept.
BYTES_PER_INVOCATION = 4000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_aws(tmp_path_factory.mktemp("memory") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Callable[[str], Any]:
    return functools.cache(functools.partial(boto3.client, endpoint_url=url, region_name=REGION))


@pytest.fixture(scope="module")
def api(url: str, client: Callable[[str], Any]) -> Api:
    """Return an API with an access log, whose function writes a line."""
    role = client("iam").create_role(RoleName="it", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    function = Function(client, "it", role)
    function.create(SOURCE)
    function.alias("live", "1")
    made = client("apigatewayv2").create_api(Name="it", ProtocolType="HTTP")["ApiId"]
    api = Api(client, url, function, made)
    api.permit(qualifier="live")
    api.route("$default", api.integrate(":live"))
    client("logs").create_log_group(logGroupName="access")
    group = f"arn:aws:logs:{REGION}:{function.account}:log-group:access"
    api.stage(AutoDeploy=True, AccessLogSettings={"DestinationArn": group, "Format": "$context.requestId"})
    return api


def send(api: Api, number: int) -> None:
    """Send requests over one connection."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(api.endpoint).netloc, timeout=60)
    for _ in range(number):
        connection.request("GET", f"/_aws/execute-api/{api.id}/dev/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def memory(url: str) -> int:
    """Return the memory of local AWS in bytes."""
    (process,) = processes.with_argument(str(urllib.parse.urlsplit(url).port))
    return int(process.memory_info().rss)


def log_events(logs: Any, group: str, stream: str) -> list[Any]:
    """Return all events of a stream, oldest first."""
    token: dict[str, str] = {}
    found: list[Any] = []
    while True:
        answer = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
        if not answer["events"]:
            return found
        found += answer["events"]
        token = {"nextToken": answer["nextForwardToken"]}


@pytest.mark.long
def test_memory_grows_little_with_invocations(api: Api) -> None:
    found = []
    for _ in range(2):
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(functools.partial(send, api), [HALF // 2] * 2))
        found.append(memory(api.endpoint))
    assert found[1] - found[0] < HALF * BYTES_PER_INVOCATION


def test_log_group_keeps_the_newest_events(client: Callable[[str], Any]) -> None:
    logs, now = client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName="full")
    for stream in ("first", "second"):
        logs.create_log_stream(logGroupName="full", logStreamName=stream)
    batch, batches = 10_000, events.MAX_EVENTS // 10_000 + 2
    for number in range(batches):
        logs.put_log_events(
            logGroupName="full",
            logStreamName=("first", "second")[number % 2],
            logEvents=[{"timestamp": now + number * batch + each, "message": "x"} for each in range(batch)],
        )
    found = sorted(
        event["timestamp"] - now for stream in ("first", "second") for event in log_events(logs, "full", stream)
    )
    assert found == list(range(batch * batches - events.MAX_EVENTS, batch * batches))


def test_log_group_keeps_events_as_long_as_its_retention(client: Callable[[str], Any]) -> None:
    logs, now, group = client("logs"), int(time.time() * 1000), uuid.uuid4().hex
    logs.create_log_group(logGroupName=group)
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)
    logs.create_log_stream(logGroupName=group, logStreamName="it")
    ages = {"old": 3 * events.DAY_MILLISECONDS + 60_000, "new": 3 * events.DAY_MILLISECONDS - 60_000}
    for message, age in ages.items():
        old = {"timestamp": now - age, "message": message}
        logs.put_log_events(logGroupName=group, logStreamName="it", logEvents=[old])
    # AWS deletes expired events later, and so does local AWS.
    more = [{"timestamp": now, "message": "newest"}] * events.NEW_EVENTS
    logs.put_log_events(logGroupName=group, logStreamName="it", logEvents=more)
    assert [event["message"] for event in log_events(logs, group, "it")][:2] == ["new", "newest"]


def test_statistics_of_many_values_are_bounded() -> None:
    values = [1.01**number for number in range(1000)]
    data = Statistics()
    for value in values:
        data.add(value)
    assert len(data.values or ()) <= MAX_VALUES
    exact = {"SampleCount": 1000, "Sum": math.fsum(values), "Minimum": 1, "Maximum": values[-1]}
    assert {name: data.statistic(name) for name in exact} == pytest.approx(exact)
    # Each value counts as the middle of a range around it.
    for percent in (0, 50, 90, 99, 100):
        assert data.statistic(f"p{percent}") == pytest.approx(values[round(9.99 * percent)], rel=0.1)


def test_middle_of_a_range_is_a_value_as_soon_as_it_is_added() -> None:
    data = Statistics()
    for number in range(1000):
        data.add(1.05 * 1.01**number)
    middle = min(data.values or ())
    assert middle < data.low
    data.add(middle)
    assert data.statistic("Minimum") == middle


def test_statistics_of_few_values_are_exact_after_they_are_packed() -> None:
    data = Statistics()
    for value in range(100):
        data.add(value / 3)
    data.pack()
    data.add(0.5)
    assert data.statistic("p100") == 33
    assert merged([data, data]).statistic("SampleCount") == 202


@pytest.mark.parametrize("data", [(2, 3, 1, 2), (1, -1, -1, -1)])
def test_statistic_set_of_different_or_negative_values_has_no_percentiles(data: tuple[float, ...]) -> None:
    found = Statistics()
    found.add(1)
    found.add_set(*data)
    assert found.statistic("p50") is None
    assert found.statistic("Sum") == 1 + data[1]


def test_old_data_is_merged_into_longer_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention."""
    monkeypatch.setattr(clock, "speed", 1)
    data, key = store.Store(), store.Key("000000000000", REGION, "N", "m", ())
    begun = 1_800_000_000 // store.HOUR * store.HOUR
    one = Statistics()
    one.add(1)

    def kept(days: float) -> tuple[int, float | None]:
        """Return the number of periods of the first hour after some days, and the number of values in them."""
        monkeypatch.setattr(time, "time", lambda: begun + days * store.DAY)
        data.add(key, time.time(), "None", one)
        found = [point.statistics for point in data.points(key) if point.moment < begun + store.HOUR]
        return len(found), merged(found).statistic("Sum")

    monkeypatch.setattr(time, "time", lambda: begun)
    for second in range(0, store.HOUR, 10):
        data.add(key, begun + second, "None", one, 1)
    assert kept(0.12) == (360, 360)
    assert kept(1) == (60, 360)
    assert kept(14) == (60, 360)
    assert kept(16) == (12, 360)
    assert kept(64) == (1, 360)
