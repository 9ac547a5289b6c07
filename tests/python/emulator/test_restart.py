"""Local AWS with ``--state`` continues with its state, whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest
from ministack.services import cloudwatch_logs

from emulator.asgi import Message, Receive, Scope, Send
from emulator.cloudwatch_logs import events as log_events
from emulator.persistence import directory, saver
from emulator.persistence.database import FORMAT, Changes, Row, UnreadableError
from tests import processes
from tests.conftest import REGION, SPEED, free_port, start_local_aws
from tests.python.emulator.contract.alarms import Alarms
from tests.python.emulator.contract.state_machines import StateMachine, document, statement, task, trust
from tests.python.emulator.contract.support import Function
from tests.waiting import eventually

pytestmark = pytest.mark.endpoint
# More than what changes by itself is saved within.
SAVED_SECONDS = 2
TIMEOUT_SECONDS = 300
SOURCE = """
    import time
    def handler(event, context):
        print("working")
        time.sleep((event or {}).get("seconds", 0))
        return "done"
"""
ONCE = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)


class Server:
    """A local AWS that keeps its state, and can be ended and started again."""

    def __init__(self, path: Path) -> None:
        self.log, self.state, self.port = path / "log", path / "state", free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> str:
        """Start it, and return what it prints."""
        before = len(self.log.read_bytes()) if self.log.exists() else 0
        self.process = start_local_aws(self.log, self.port, "--state", str(self.state))
        self.started = time.time()
        return self.log.read_bytes()[before:].decode()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(30)

    def restart(self, number: signal.Signals = signal.SIGKILL) -> str:
        """End it after the last answer, whose changes are saved within milliseconds, and start it again."""
        time.sleep(0.3)
        self.end(number)
        return self.start()

    @functools.cache  # noqa: B019 - a few of one test
    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=ONCE)  # type: ignore[call-overload]

    def role(self, service: str, *statements: dict[str, Any]) -> tuple[str, str]:
        """Create a role that a service may assume, and return its name, which is a new one, and its ARN."""
        name = f"it-{uuid.uuid4().hex[:8]}"
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=document(*statements))
        return name, arn

    def machine(self, states: dict[str, Any], *statements: dict[str, Any], **settings: Any) -> StateMachine:
        machine = StateMachine(self.client, *self.role("states", *statements))
        machine.create(states, **settings)
        return machine

    def function(self) -> Function:
        function = Function(self.client, *self.role("lambda"))
        function.create(SOURCE, Timeout=30)
        return function

    def bucket(self, **versioning: str) -> str:
        name, s3 = f"it-{uuid.uuid4().hex[:8]}", self.client("s3")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioning:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
        return name


@contextlib.contextmanager
def running(path: Path) -> Iterator[Server]:
    server = Server(path)
    server.start()
    try:
        yield server
    finally:
        assert server.process
        processes.terminate(server.process)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a local AWS, which each test restarts."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


WAIT = {"Wait": {"Type": "Wait", "Seconds": 86_400, "End": True}}


class Kept:
    """What a local AWS has before and after a restart."""

    def __init__(self, server: Server) -> None:
        self.server, self.function = server, server.function()
        self.alarms = Alarms(server.client, 1, "N")
        self.alarms.put(AlarmName="high", EvaluationPeriods=1, Threshold=5)
        data = [{"MetricName": "m", "Value": value} for value in (1.0, 2.0, 7.0)]
        server.client("cloudwatch").put_metric_data(Namespace="N", MetricData=data)
        self.function.call({})
        self._filter()
        eventually(lambda: self.alarms.states("high")[-2:] == ["ALARM", "OK"])
        self._executions()
        for machine, execution, event in (
            (self.waiting, self.waits, "WaitStateEntered"),
            (self.calling, self.calls, "TaskStarted"),
        ):
            eventually(lambda: machine.history(execution)[-1]["type"] == event)  # noqa: B023 - called here

    def _filter(self) -> None:
        """Put a metric filter, a line that it counts, and a query definition."""
        logs = self.server.client("logs")
        logs.create_log_group(logGroupName="it")
        logs.create_log_stream(logGroupName="it", logStreamName="it")
        logs.put_metric_filter(
            logGroupName="it",
            filterName="it",
            filterPattern="{ $.status >= 500 }",
            metricTransformations=[{"metricName": "failed", "metricNamespace": "N", "metricValue": "1"}],
        )
        logs.put_query_definition(name="it/failures", queryString="filter status >= 500", logGroupNames=["it"])
        self.fail()

    def fail(self) -> None:
        """Write a line that the metric filter counts."""
        event = {"timestamp": int(time.time() * 1000), "message": '{"status": 500}'}
        self.server.client("logs").put_log_events(logGroupName="it", logStreamName="it", logEvents=[event])

    def _executions(self) -> None:
        after = {"Type": "Pass", "Output": "{% $a %}", "End": True}
        self.waiting = self.server.machine(
            {
                "Set": {"Type": "Pass", "Assign": {"a": "{% $states.input.a %}"}, "Next": "Wait"},
                "Wait": {"Type": "Wait", "Seconds": 600, "Next": "After"},
                "After": after,
            }
        )
        arguments = {"FunctionName": self.function.name, "Payload": {"seconds": 3}}
        self.calling = self.server.machine(
            {"Call": task("lambda:invoke", arguments, Output="{% $states.result.Payload %}")},
            statement("lambda:InvokeFunction", self.function.arn),
        )
        self.timed = self.server.machine(WAIT, TimeoutSeconds=TIMEOUT_SECONDS)
        self.stopping = self.server.machine(WAIT)
        self._rule()
        self.waits, self.times_out = self.waiting.start({"a": 1}), self.timed.start()
        self.calls, self.stopped = self.calling.start(), self.stopping.start()
        self.waiting.api.update_state_machine(
            stateMachineArn=self.waiting.arn,
            definition=json.dumps({"StartAt": "Other", "States": {"Other": {"Type": "Succeed"}}}),
        )

    def _rule(self) -> None:
        """Start an execution when one is aborted."""
        events, arn = self.server.client("events"), self.stopping.arn
        pattern = {"source": ["aws.states"], "detail": {"status": ["ABORTED"], "stateMachineArn": [arn]}}
        events.put_rule(Name="it", EventPattern=json.dumps(pattern))
        _, role = self.server.role("events", statement("states:StartExecution", arn))
        events.put_targets(Rule="it", Targets=[{"Id": "it", "Arn": arn, "RoleArn": role}])

    def statistics(self, metric: str) -> list[Any]:
        now = time.time()
        return list(
            self.server.client("cloudwatch").get_metric_statistics(
                Namespace="N",
                MetricName=metric,
                StartTime=now - 600,
                EndTime=now + 60,
                Period=3600,
                Statistics=["Sum", "SampleCount", "Maximum"],
                ExtendedStatistics=["p50"],
            )["Datapoints"]
        )

    @property
    def found(self) -> dict[str, Any]:
        """What must be the same after a restart."""
        return {
            "metrics": [{**each, "Timestamp": None} for each in self.statistics("m")],
            "logs": [(stream, line) for stream, line in self.function.log()][:5],
            "alarm": (self.alarms.history("high"), self.alarms.describe("high")["StateValue"]),
            "query definitions": self.server.client("logs").describe_query_definitions()["queryDefinitions"],
            "metric filter": self.server.client("logs").describe_metric_filters(logGroupName="it")["metricFilters"],
        }


@pytest.fixture(scope="module", params=[signal.SIGKILL, signal.SIGTERM])
def restarted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Kept, dict[str, Any]]]:
    """Yield a local AWS after a restart, and what it had before."""
    with running(tmp_path_factory.mktemp("restarted")) as server:
        kept = Kept(server)
        time.sleep(SAVED_SECONDS)
        before = kept.found
        kept.stopping.api.stop_execution(executionArn=kept.stopped, cause="enough")
        server.restart(request.param)
        yield kept, before


Restarted = tuple[Kept, dict[str, Any]]


def test_execution_that_has_ended_stays_as_it_is(restarted: Restarted) -> None:
    kept, _ = restarted
    ended = kept.stopping.api.describe_execution(executionArn=kept.stopped)
    assert (ended["status"], ended["cause"]) == ("ABORTED", "enough")
    history = kept.stopping.history(kept.stopped)
    assert [event["type"] for event in history] == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted"]


def test_execution_that_an_event_started_is_kept_with_its_cause(restarted: Restarted) -> None:
    """So that no abort of a release is kept without the rollback that it starts."""
    kept, _ = restarted
    found = kept.stopping.api.list_executions(stateMachineArn=kept.stopping.arn)["executions"]
    assert sorted(each["status"] for each in found) == ["ABORTED", "RUNNING"]


def test_execution_goes_on_with_its_wait(restarted: Restarted) -> None:
    """In the definition that its state machine had when it started, and with its variables."""
    kept, _ = restarted
    ended = kept.waiting.end(kept.waits)
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", 1)
    (waited,) = kept.waiting.seconds(kept.waits, "WaitStateEntered", "WaitStateExited")
    # Timestamps are those of the real clock. If it is adjusted meanwhile, they differ from the wait by milliseconds.
    assert 595 < waited < 700
    history = kept.waiting.history(kept.waits)
    states = [f"{kind}State{change}" for kind in ("Pass", "Wait", "Pass") for change in ("Entered", "Exited")]
    assert [event["type"] for event in history] == ["ExecutionStarted", *states, "ExecutionSucceeded"]
    assert [event["id"] for event in history] == list(range(1, 9))


def test_execution_starts_its_task_again(restarted: Restarted) -> None:
    """Requests to local AWS fail when it stops. That does not fail the task."""
    kept, _ = restarted
    ended = kept.calling.end(kept.calls)
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", "done")
    history = [event["type"] for event in kept.calling.history(kept.calls)]
    assert (history.count("TaskStarted"), history.count("TaskFailed")) == (2, 0)


def test_execution_times_out_when_it_would_have(restarted: Restarted) -> None:
    kept, _ = restarted
    ended = kept.timed.end(kept.times_out)
    assert ended["status"] == "TIMED_OUT"
    due = ended["startDate"].timestamp() + TIMEOUT_SECONDS / SPEED
    # On a busy machine, local AWS may not be running again by then.
    assert ended["stopDate"].timestamp() < max(due, kept.server.started) + 0.7 * TIMEOUT_SECONDS / SPEED


@pytest.mark.parametrize("part", ["metrics", "logs", "alarm", "metric filter", "query definitions"])
def test_data_is_kept(restarted: Restarted, part: str) -> None:
    kept, before = restarted
    assert before[part]
    assert kept.found[part] == before[part]
    assert before["metrics"][0]["ExtendedStatistics"] == {"p50": 2}
    assert [line.split()[0] for _, line in before["logs"]] == ["INIT_START", "START", "working", "END", "REPORT"]


def test_metric_filter_counts_after_a_restart(restarted: Restarted) -> None:
    kept, before = restarted
    assert len(before["metric filter"]) == 1
    kept.fail()
    eventually(lambda: sum(point["Sum"] for point in kept.statistics("failed")) == 2)


def test_requests_that_were_answered_are_kept_when_it_is_killed_and_no_others(server: Server) -> None:
    """But for those that were answered milliseconds before."""
    asked: set[str] = set()
    answered: dict[str, float] = {}

    def create(series: str) -> None:
        topics = boto3.client("sns", endpoint_url=server.url, region_name=REGION, config=ONCE)
        for number in itertools.count():
            name = f"topic-{series}-{number}"
            asked.add(name)
            try:
                topics.create_topic(Name=name)
            except (botocore.exceptions.BotoCoreError, OSError):
                return
            answered[name] = time.monotonic()

    for number in range(3):
        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(create, f"{number}-{thread}") for thread in range(4)]
            time.sleep(1.2)
            killed = time.monotonic()
            server.end()
            for each in done:
                each.result()
        server.start()
        pages = server.client("sns").get_paginator("list_topics").paginate()
        found = {topic["TopicArn"].rpartition(":")[2] for page in pages for topic in page["Topics"]}
        assert {name for name, at in answered.items() if at < killed - 0.5} <= found
        assert found <= answered.keys()
        assert asked - answered.keys()
        # What is lost is not missed in the next round.
        for name in answered.keys() - found:
            del answered[name]


class Counter:
    """A part of the state that every request changes."""

    name = "counter"

    def __init__(self) -> None:
        self.count = self.saved = 0

    def changes(self) -> Changes:
        if self.saved == self.count:
            return Changes()
        self.saved = self.count
        return Changes(rows={("counter", ""): str(self.count)})

    def restore(self, rows: Iterable[Row]) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("service", ["sns", "s3"])
def test_change_is_saved_after_its_answer_and_before_objects_are_written(tmp_path: Path, service: str) -> None:
    database, part = directory.opened(tmp_path), Counter()
    kept = saver.Saver(database, [part])
    found: dict[str, list[str]] = {}

    def look(when: str) -> None:
        found[when] = [row.value for row in database.rows("counter")]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        look("before")
        part.count += 1
        await send({"type": "http.response.start"})

    async def send(_message: Message) -> None:
        look("answered")

    async def request() -> None:
        part.count = 1
        signed = f"AWS4-HMAC-SHA256 Credential=test/20261128/eu-west-2/{service}/aws4_request, SignedHeaders=host"
        headers = [(b"host", b"localhost"), (b"authorization", signed.encode())]
        scope = {"type": "http", "method": "PUT", "path": "/", "query_string": b"", "headers": headers}
        await kept.around(app, lambda *_: False)(scope, None, send)  # type: ignore[arg-type]
        task = asyncio.create_task(kept.run())
        await asyncio.sleep(0.2)
        look("then")
        task.cancel()

    asyncio.run(request())
    earlier = ["1"] if service == "s3" else []
    assert found == {"before": earlier, "answered": earlier, "then": ["2"]}
    database.close()


def test_object_is_not_newer_than_what_was_changed_before(server: Server) -> None:
    """So that Terraform's state has no resource that does not exist."""
    topics, s3, bucket = server.client("sns"), server.client("s3"), server.bucket()
    for number in range(5):
        arn = topics.create_topic(Name=f"before-{number}")["TopicArn"]
        s3.put_object(Bucket=bucket, Key="key", Body=arn.encode())
        server.end()
        server.start()
        written = s3.get_object(Bucket=bucket, Key="key")["Body"].read().decode()
        assert topics.get_topic_attributes(TopicArn=written)["Attributes"]["TopicArn"] == arn


def test_deleted_logs_stay_deleted(server: Server) -> None:
    logs = server.client("logs")

    def write(message: str) -> None:
        logs.create_log_group(logGroupName="it")
        logs.create_log_stream(logGroupName="it", logStreamName="it")
        event = {"timestamp": int(time.time() * 1000), "message": message}
        logs.put_log_events(logGroupName="it", logStreamName="it", logEvents=[event])

    write("first")
    logs.delete_log_group(logGroupName="it")
    write("second")
    server.restart()
    found = logs.filter_log_events(logGroupName="it")["events"]
    assert [event["message"] for event in found] == ["second"]


def test_log_events_are_saved_once_and_deleted_with_their_stream() -> None:
    kept = log_events.Events()
    owner, first, second = json.dumps(["000000000000", REGION, "g", "s"]), log_stream(), log_stream()

    def changes(stream: dict[str, Any]) -> tuple[set[str], dict[str, str | None]]:
        cloudwatch_logs._log_groups.set_scoped("000000000000", REGION, "g", {"streams": {"s": stream}})
        found = kept.changes()
        return found.deleted, {key: value for (each, key), value in found.rows.items() if each == owner and key}

    def add(stream: dict[str, Any], *moments: int) -> list[dict[str, Any]]:
        events = [{"timestamp": moment, "message": "m"} for moment in moments]
        stream["events"] = [*stream["events"], *events]
        kept.add(stream, events)
        return events

    one, two = add(first, 1, 2), add(first, 3)
    numbers = [f"{number:015}" for number in range(4)]
    assert changes(first)[1] == {numbers[1]: json.dumps(one), numbers[2]: json.dumps(two)}
    assert changes(first) == (set(), {})
    # Events are deleted one by one, and saved together.
    first["events"] = first["events"][1:]
    assert changes(first) == (set(), {})
    first["events"] = first["events"][1:]
    assert changes(first) == (set(), {numbers[1]: None})
    # The stream is deleted and created again between two looks.
    three = add(second, 4)
    assert changes(second) == ({owner}, {numbers[3]: json.dumps(three)})
    cloudwatch_logs._log_groups.clear()
    assert kept.changes().deleted == {owner}


def log_stream() -> dict[str, Any]:
    return {"events": [], "creationTime": 0}


def test_package_is_deleted_after_no_function_has_it(server: Server) -> None:
    """If it were deleted before that is saved, a kill would leave a function without code."""
    function = server.function()
    packages = server.state / "lambda-blobs"
    before = eventually(lambda: set(packages.glob("*.zip")))
    function.update("def handler(event, context): return 'later'")
    function.api.delete_function(FunctionName=function.name, Qualifier="1")
    eventually(lambda: before < set(packages.iterdir()))
    server.restart()
    assert not before & set(packages.iterdir())
    assert function.call({})["Payload"] == "later"


@pytest.mark.parametrize("versioning", [{"Status": "Enabled"}, {}])
def test_object_that_was_being_written_is_whole(server: Server, versioning: dict[str, str]) -> None:
    """MiniStack writes an object, and then its size and version."""
    s3, bucket = server.client("s3"), server.bucket(**versioning)
    metadata = server.state / directory.OBJECTS / "000000000000" / bucket / "dir" / f"key{directory.METADATA}"
    s3.put_object(Bucket=bucket, Key="dir/key", Body=b"first")
    before = metadata.read_bytes()
    s3.put_object(Bucket=bucket, Key="dir/key", Body=b"and the second")
    server.end()
    metadata.write_bytes(before)
    os.utime(metadata, ns=(0, metadata.with_name("key").stat().st_mtime_ns - 1))
    server.start()
    found = s3.get_object(Bucket=bucket, Key="dir/key")
    expected = b"first" if versioning else b"and the second"
    assert (found["ContentLength"], found["Body"].read()) == (len(expected), expected)


def test_reset_deletes_what_was_kept(server: Server) -> None:
    server.function().call({})
    server.bucket()
    alarms = Alarms(server.client, 1, "N")
    alarms.set(alarms.put(AlarmName="reset"), "ALARM")
    time.sleep(SAVED_SECONDS)
    request = urllib.request.Request(f"{server.url}/_ministack/reset", method="POST")
    urllib.request.urlopen(request, timeout=30).close()
    time.sleep(SAVED_SECONDS)
    server.restart()
    assert server.client("lambda").list_functions()["Functions"] == []
    assert server.client("s3").list_buckets()["Buckets"] == []
    assert server.client("logs").describe_log_groups()["logGroups"] == []
    assert server.client("cloudwatch").list_metrics()["Metrics"] == []
    assert alarms.history("reset") == []


def test_state_that_another_local_aws_uses_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"The state in \S+/state cannot be used: database is locked"):
        start_local_aws(tmp_path / "log", free_port(), "--state", str(server.state))
    assert not list(server.state.parent.glob("*unreadable*"))


@pytest.mark.parametrize(
    ("method", "path", "headers", "query", "found"),
    [
        ("POST", "/", {"x-amz-target": "AWSStepFunctions.StartExecution"}, "", True),
        ("POST", "/", {"x-amz-target": "AWSStepFunctions.DescribeExecution"}, "", False),
        ("POST", "/", {"x-amz-target": "DynamoDB_20120810.Query"}, "", False),
        ("POST", "/service/GraniteServiceVersion20100801/operation/GetMetricData", {}, "", False),
        ("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm", {}, "", True),
        ("POST", "/", {"content-type": "application/x-www-form-urlencoded"}, "", True),
        ("GET", "/", {}, "Action=CreateQueue&QueueName=it", True),
        ("PUT", "/bucket/GetStarted", {}, "", True),
        ("GET", "/bucket/key", {}, "", False),
        ("PUT", "/2015-03-31/functions/it/code", {}, "", True),
        ("POST", "/2015-03-31/functions/it/invocations", {}, "", False),
        ("POST", "/stage", {}, "", False),
    ],
)
def test_requests_that_may_change_something_are_known(
    method: str, path: str, headers: dict[str, str], query: str, found: bool
) -> None:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *((name.encode(), value.encode()) for name, value in headers.items())],
    }
    assert saver.may_change(scope, lambda host, path: (host, path) == ("localhost", "/stage")) is found


def damage(path: Path, how: str) -> None:
    """Damage the state in a way that can happen to it."""
    file = path / directory.DATABASE
    if how == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "garbage":
        file.write_bytes(os.urandom(file.stat().st_size))
    elif how == "missing":
        file.unlink()
    else:
        connection = sqlite3.connect(file)
        changes = {
            "later": f"PRAGMA user_version = {FORMAT + 1}",
            "no JSON": "UPDATE rows SET value = '{' WHERE part = 'services' AND owner = 'sns'",
            "other content": "UPDATE rows SET value = '[1]' WHERE part = 'services' AND owner = 'sns'",
        }
        with connection:
            connection.execute(changes[how])
        connection.close()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("truncated", "database disk image is malformed"),
        ("empty", "it has no database"),
        ("garbage", "file is not a database"),
        ("missing", "it has no database"),
        ("later", f"its format is {FORMAT + 1}, not {FORMAT}"),
    ],
)
def test_damaged_state_is_recognized(tmp_path: Path, how: str, reason: str) -> None:
    database = directory.opened(tmp_path)
    for number in range(100):
        database.write({"part": Changes(rows={(str(number), ""): "x" * 1000})})
    database.close()
    # As earlier versions of local AWS left it, and MiniStack does.
    (tmp_path / "lambda.json").write_text("{}")
    damage(tmp_path, how)
    with pytest.raises(UnreadableError, match=f"^{reason}$"):
        directory.opened(tmp_path)


@pytest.mark.parametrize("content", [None, b""])
def test_state_that_was_being_created_is_new(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / directory.DATABASE).write_bytes(content)
    database = directory.opened(tmp_path)
    assert list(database.rows("part")) == []
    database.close()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("truncated", "database disk image is malformed"),
        ("no JSON", "JSONDecodeError: "),
        ("other content", "AttributeError: "),
    ],
)
def test_state_that_cannot_be_read_is_set_aside(server: Server, how: str, reason: str) -> None:
    topics, s3, bucket = server.client("sns"), server.client("s3"), server.bucket()
    topics.create_topic(Name="lost")
    s3.put_object(Bucket=bucket, Key="key", Body=b"kept")
    earlier = set(server.state.parent.iterdir())
    server.end(signal.SIGTERM)
    damage(server.state, how)
    printed = server.start()
    (aside,) = set(server.state.parent.iterdir()) - earlier
    assert f"The saved state could not be read: {reason}" in printed
    assert f"It is now in {aside}. Local AWS starts empty.\n" in printed
    assert (aside / directory.OBJECTS / "000000000000" / bucket / "key").read_bytes() == b"kept"
    assert topics.list_topics()["Topics"] == []
    assert s3.list_buckets()["Buckets"] == []
    topics.create_topic(Name="new")
    assert "could not be read" not in server.restart()
    assert [topic["TopicArn"].rpartition(":")[2] for topic in topics.list_topics()["Topics"]] == ["new"]


def test_full_disk_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert server.process
        topics = server.client("sns")
        topics.create_topic(Name="first")
        size = max(file.stat().st_size for file in server.state.glob(f"{directory.DATABASE}*"))
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for number in range(5):
            topics.create_topic(Name=f"topic-{number}")
        assert len(re.findall("The state cannot be saved: .*. Local AWS tries again.", server.log.read_text())) == 1
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        topics.create_topic(Name="last")
        server.restart()
        assert len(topics.list_topics()["Topics"]) == 7
