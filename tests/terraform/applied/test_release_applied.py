"""Releases of an applied stack with real requests, metrics, alarms, roles, rules, and notifications.

tests/python/release tests every case of the state machine.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from tests import provider
from tests.conftest import get
from tests.python.emulator.contract.support import zipped
from tests.python.release.inputs import INPUTS
from tests.python.release.test_inputs import ERRORS
from tests.terraform.support import PINNED, Configuration, copy, stage_url, write_artifact, write_config
from tests.waiting import eventually

GOOD = """
def handler(event, context):
    return {"statusCode": 200, "body": context.function_version}
"""
# It passes the smoke test of a release, and fails all other requests.
BAD = """
def handler(event, context):
    if event["requestContext"]["http"]["userAgent"] != "path-to-live-release":
        raise RuntimeError("broken")
    return {"statusCode": 200, "body": context.function_version}
"""
SLOW = """
import time

def handler(event, context):
    time.sleep(0.3)
    return {"statusCode": 200, "body": context.function_version}
"""
ON_HOLD = "live: release of version 2 on hold"
# A step of three minutes, and a bake of two. Metrics of local AWS are complete at the end of a minute.
SETTINGS = {
    "steps": [0.5],
    "step_seconds": 180,
    "bake_seconds": 120,
    "max_extensions": 3,
    "metrics_delay_seconds": 0,
}
PATIENCE_SECONDS = 120
TIMEOUT = 7200
PINS = {stage: {"function_version": "1", "gateway_deployment": "newest"} for stage in ("test", "live")}

pytestmark = pytest.mark.long


@dataclass
class Stack:
    """A stack with the versions 1 (good), 2 (good), 3 (bad), and 4 (slow). test and live are pinned to version 1."""

    configuration: Configuration
    client: Callable[[str], Any]
    name: str
    queue: str

    def __post_init__(self) -> None:
        self.outputs = self.configuration.outputs()

    def machine(self, stage: str = "live") -> str:
        return str(self.outputs["stages"][stage]["state_machine_arn"])

    def alias(self, stage: str = "live") -> tuple[str, dict[str, float]]:
        """Return the version and weights of a stage's alias."""
        found = self.client("lambda").get_alias(FunctionName=self.name, Name=stage)
        return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})

    def start(self, version: str, stage: str = "live", **settings: Any) -> str:
        given = {"version": version, **SETTINGS, **settings}
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.machine(stage), name=f"{stage}-{uuid.uuid4().hex[:8]}", input=json.dumps(given)
        )
        return str(started["executionArn"])

    def write(self, parameter: str, content: Any, stage: str = "live") -> None:
        """Set a parameter of a stage, as people do in the console."""
        name = f"/releases/{self.name}/{stage}/{parameter}"
        self.client("ssm").put_parameter(Name=name, Value=json.dumps(content), Overwrite=True)

    @contextlib.contextmanager
    def definition(self, old: str, new: str) -> Iterator[None]:
        """Replace a text in the definition of live's state machine for executions that start in the meantime."""
        machines = self.client("stepfunctions")
        found = machines.describe_state_machine(stateMachineArn=self.machine())["definition"]
        assert old in found
        machines.update_state_machine(stateMachineArn=self.machine(), definition=found.replace(old, new))
        try:
            yield
        finally:
            machines.update_state_machine(stateMachineArn=self.machine(), definition=found)

    @contextlib.contextmanager
    def denied(self, action: str) -> Iterator[None]:
        """Deny an action to the role of live's state machine in the meantime."""
        iam, role = self.client("iam"), f"{self.name}-live-release"
        deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]}
        iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=json.dumps(deny))
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName="deny")

    def end(self, execution: str) -> Any:
        machines = self.client("stepfunctions")

        def ended() -> Any:
            found = machines.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return eventually(ended, PATIENCE_SECONDS)

    def rollbacks(self) -> list[str]:
        """Return the statuses of the executions that live's rule has started, newest first."""
        listed = self.client("stepfunctions").list_executions(stateMachineArn=self.machine())["executions"]
        return [execution["status"] for execution in listed if not execution["name"].startswith("live-")]

    def shifted(self, execution: str) -> None:
        """Wait until the alias live has weights."""

        def shifts() -> bool:
            found = self.client("stepfunctions").describe_execution(executionArn=execution)
            assert found["status"] == "RUNNING", found
            return bool(self.alias()[1])

        eventually(shifts, PATIENCE_SECONDS)

    def alarm(self, stage: str = "live") -> str:
        found = self.client("cloudwatch").describe_alarms(
            AlarmNames=[f"{self.name}-{stage}-unhealthy"], AlarmTypes=["CompositeAlarm"]
        )
        return str(found["CompositeAlarms"][0]["StateValue"])

    def notifications(self) -> list[str]:
        """Return the subjects of the notifications since the last call."""
        queues, subjects = self.client("sqs"), []
        while messages := queues.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                subjects.append(json.loads(message["Body"])["Subject"])
                queues.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return subjects

    def wait_for(self, *expected: str) -> list[str]:
        """Wait until there is a notification for each expected start of a subject, and return all subjects."""
        subjects: list[str] = []

        def complete() -> bool:
            subjects.extend(self.notifications())
            return all(any(subject.startswith(start) for subject in subjects) for start in expected)

        eventually(complete, PATIENCE_SECONDS)
        return subjects

    @contextlib.contextmanager
    def load(self, stage: str = "live") -> Iterator[list[int]]:
        """Send requests to a stage in the meantime, and yield the list of statuses."""
        url = stage_url(self.outputs["api_id"], stage, self.outputs["stages"][stage]["url"])
        statuses: list[int] = []
        stop = threading.Event()

        def send() -> None:
            while not stop.is_set():
                statuses.append(get(url)[0])
                stop.wait(0.02)

        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield statuses
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pytest.fixture(scope="module")
def stack(client: Callable[[str], Any], endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"release-{uuid.uuid4().hex[:8]}"
    directory: Path = copy(tmp_path_factory.mktemp("release") / "terraform")
    with provider.running(tmp_path_factory.mktemp("provider"), endpoint, directory) as attached:
        configuration = Configuration(directory, provider=attached)
        # Terraform can take long in the middle of a release.
        configuration.variables(name=name, releases={"live": {"timeout_seconds": TIMEOUT}})
        publish(configuration, GOOD, PINNED)
        for source in (f"{GOOD}\n", BAD):
            client("lambda").update_function_code(FunctionName=name, ZipFile=zipped(source), Publish=True)
        publish(configuration, SLOW, PINNED | PINS)
        with listening(client, name, configuration.outputs()["topic_arn"]) as queue:
            yield Stack(configuration, client, name, queue)
        configuration.destroy()


def publish(configuration: Configuration, source: str, stages: dict[str, Any]) -> None:
    write_artifact(configuration.directory, source=source)
    write_config(configuration.directory, stages)
    configuration.apply()


@contextlib.contextmanager
def listening(client: Callable[[str], Any], name: str, topic: str) -> Iterator[str]:
    """Yield the URL of a queue that receives the messages of a topic."""
    queues, topics = client("sqs"), client("sns")
    queue = queues.create_queue(QueueName=name)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    made = topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
    yield queue
    topics.unsubscribe(SubscriptionArn=made["SubscriptionArn"])
    queues.delete_queue(QueueUrl=queue)


@pytest.fixture(autouse=True)
def _reset(stack: Stack) -> None:
    """Return both stages to version 1, forget what was rolled back, and wait until no alarm fires."""
    functions = stack.client("lambda")
    for stage in ("test", "live"):
        stack.write("control", {}, stage)
        stack.write("rejected", [], stage)
        functions.update_alias(
            FunctionName=stack.name, Name=stage, FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {}}
        )
    eventually(lambda: stack.alarm() != "ALARM", PATIENCE_SECONDS)
    stack.notifications()


def test_good_version_succeeds_without_a_failed_request_and_plans_stay_empty(stack: Stack) -> None:
    assert stack.configuration.detailed_exit_code() == 0
    # With fewer invocations than the analysis needs, the release is on hold for as long as Terraform takes.
    with stack.load() as before:
        execution = stack.start("2", on_inconclusive="hold", min_invocations=1000, max_extensions=0)
        stack.shifted(execution)
    assert stack.configuration.detailed_exit_code() == 0
    assert stack.alias() == ("1", {"2": 0.5})
    with stack.load() as after:
        ended = stack.end(execution)
    assert ended["status"] == "SUCCEEDED", ended
    metrics = json.loads(ended["output"])["metrics"]["errors"]
    assert (metrics["invocations"] > 0, metrics["failed"]) == (True, 0)
    assert stack.alias() == ("2", {})
    assert set(before) == set(after) == {200}
    succeeded = "live: release of version 2 succeeded"
    assert set(stack.wait_for(succeeded)) <= {succeeded, ON_HOLD}


def test_frozen_stage_refuses_what_starts_in_the_console(stack: Stack) -> None:
    stack.write("control", {"frozen": {"until": "2999-01-01T00:00Z", "reason": "Christmas"}})
    for steps, bake_seconds in (([0.5], 120), ([], 0)):
        ended = stack.end(stack.start("2", steps=steps, bake_seconds=bake_seconds))
        assert (ended["status"], ended["error"]) == ("FAILED", "Frozen"), ended
        assert "live is frozen until 2999-01-01T00:00Z: Christmas." in json.loads(ended["cause"])["reason"]
    assert stack.end(stack.start("2", "test", steps=[], bake_seconds=0))["status"] == "SUCCEEDED"
    assert stack.end(stack.start("2", steps=[], bake_seconds=0, smoke_test=False))["status"] == "SUCCEEDED"
    assert (stack.alias("test"), stack.alias()) == (("2", {}), ("2", {}))


def test_release_does_what_the_console_asks(stack: Stack) -> None:
    execution = stack.start("2", step_seconds=6000, max_extensions=0, bake_seconds=0, hold=True)
    name = execution.rpartition(":")[2]
    stack.wait_for("live: release of version 2 is waiting for approval")
    assert stack.alias() == ("1", {})
    stack.write("control", {"request": {"do": "resume", "release": name}})
    stack.shifted(execution)
    stack.write("control", {"request": {"do": "skip", "release": name, "by": "ann", "reason": "seen enough"}})
    ended = stack.end(execution)
    assert json.loads(ended["output"])["requests"] == ["resume at 0 %", "skip at 50 % by ann: seen enough"]
    assert stack.alias() == ("2", {})


def test_bad_version_is_rolled_back_because_of_its_metrics(stack: Stack) -> None:
    with stack.load():
        ended = stack.end(stack.start("3", ignore_alarms_reason="test the analysis"))
    assert (ended["status"], ended["error"]) == ("FAILED", "RolledBack"), ended
    report = json.loads(ended["cause"])
    assert "invocations of version 3 failed, and 0 of" in report["reason"]
    assert report["reason"].endswith(" to 1 that version 3 fails more often (limit 1 %).")
    assert stack.alias() == ("1", {})
    stack.wait_for("live: release of version 3 rolled back")
    refused = stack.end(stack.start("3"))
    assert refused["error"] == "RejectedVersion"
    assert report["reason"][:100] in json.loads(refused["cause"])["reason"]
    # The parameter of rejected versions has changed.
    assert stack.configuration.detailed_exit_code() == 0


def test_slow_version_is_rolled_back(stack: Stack) -> None:
    with stack.load():
        ended = stack.end(stack.start("4", max_p99_ms=100))
    assert "invocations of version 4 took longer than 100 ms, and " in json.loads(ended["cause"])["reason"]
    assert stack.alias() == ("1", {})


def test_plan_is_empty_during_a_bake_and_its_end_rolls_back(stack: Stack) -> None:
    execution = stack.start("2", steps=[], bake_seconds=3600)
    stack.shifted(execution)
    assert stack.alias() == ("1", {"2": 1.0})
    with stack.load() as statuses:
        assert stack.configuration.detailed_exit_code() == 0
    stack.client("stepfunctions").stop_execution(executionArn=execution)
    eventually(lambda: stack.alias() == ("1", {}), PATIENCE_SECONDS)
    assert set(statuses) == {200}


def test_version_that_fails_with_all_traffic_is_rolled_back(stack: Stack) -> None:
    with stack.load():
        ended = stack.end(stack.start("3", steps=[], bake_seconds=600, ignore_alarms_reason="test the analysis"))
    assert "invocations of version 3 failed with all traffic. That is at least" in json.loads(ended["cause"])["reason"]
    assert stack.alias() == ("1", {})


def test_alarm_that_fires_during_a_step_rolls_back(stack: Stack) -> None:
    with stack.load():
        # The alarm fires long before there are metrics to analyze.
        ended = stack.end(stack.start("3", metrics_delay_seconds=900))
    assert f"The alarm {stack.name}-live-unhealthy fires" in json.loads(ended["cause"])["reason"]
    assert stack.alias() == ("1", {})
    stack.wait_for("live: release of version 3 rolled back", f'ALARM: "{stack.name}-live-unhealthy"')


def test_alarm_that_already_fires_blocks_every_release_but_the_fix(stack: Stack) -> None:
    functions = stack.client("lambda")
    with stack.load():
        functions.update_alias(FunctionName=stack.name, Name="live", FunctionVersion="3")
        eventually(lambda: stack.alarm() == "ALARM", PATIENCE_SECONDS)
        refused = stack.end(stack.start("2"))
        released = stack.end(
            stack.start("2", ignore_alarms_reason="version 2 fixes it", steps=[0.9], max_error_rate=0.01)
        )
    assert (refused["error"], json.loads(refused["cause"])["outcome"]) == ("AlarmFiring", "refused")
    assert released["status"] == "SUCCEEDED", released
    assert stack.alias() == ("2", {})


def test_two_stages_are_released_at_the_same_time(stack: Stack) -> None:
    with stack.load("test"), stack.load():
        executions = [stack.start("2", "test"), stack.start("3", "live")]
        test, live = (stack.end(execution) for execution in executions)
    assert (test["status"], live["error"]) == ("SUCCEEDED", "RolledBack")
    assert (stack.alias("test"), stack.alias("live")) == (("2", {}), ("1", {}))


def test_apply_for_another_stage_does_not_disturb_a_release(stack: Stack) -> None:
    config = (stack.configuration.directory / "config.tf").read_text()
    pins = {"test": {"function_version": "2", "gateway_deployment": "newest"}}
    live = {"live": {"function_version": "1", "gateway_deployment": "newest"}}
    # The release is on hold until there are enough invocations, so Terraform can take any time.
    execution = stack.start("2", on_inconclusive="hold", max_extensions=0)
    stack.shifted(execution)
    write_config(stack.configuration.directory, PINNED | pins | live)
    stack.configuration.apply()
    during = stack.alias()
    with stack.load():
        ended = stack.end(execution)
    (stack.configuration.directory / "config.tf").write_text(config)
    assert during == ("1", {"2": 0.5})
    assert ended["status"] == "SUCCEEDED", ended
    assert stack.alias("test") == ("2", {})
    stack.configuration.apply()


def test_aborted_release_is_rolled_back_by_the_rule(stack: Stack) -> None:
    before = len(stack.rollbacks())
    execution = stack.start("2", step_seconds=1500, max_extensions=0)
    stack.shifted(execution)
    stack.client("stepfunctions").stop_execution(executionArn=execution, cause="changed my mind")
    eventually(lambda: stack.alias() == ("1", {}), PATIENCE_SECONDS)
    assert stack.end(execution)["status"] == "ABORTED"
    eventually(lambda: stack.rollbacks()[: len(stack.rollbacks()) - before] == ["SUCCEEDED"])
    assert stack.wait_for("live: release of version 2 rolled back") == ["live: release of version 2 rolled back"]


def test_release_that_times_out_is_rolled_back_by_the_rule(stack: Stack) -> None:
    with stack.definition(f'"TimeoutSeconds":{TIMEOUT}', '"TimeoutSeconds":600'):
        execution = stack.start("2", on_inconclusive="hold", max_extensions=0)
    assert stack.end(execution)["status"] == "TIMED_OUT"
    eventually(lambda: stack.alias() == ("1", {}), PATIENCE_SECONDS)
    subjects = stack.wait_for("live: release of version 2 rolled back")
    assert subjects == [ON_HOLD, "live: release of version 2 rolled back"]


def test_rollback_that_is_aborted_starts_no_other(stack: Stack) -> None:
    with stack.denied("lambda:GetAlias"):
        rollback = stack.client("stepfunctions").start_execution(
            stateMachineArn=stack.machine(), input=json.dumps({"rolls_back": "live-release-2", "status": "ABORTED"})
        )["executionArn"]
        stack.wait_for("live: ROLLBACK FAILED")
        before = executions(stack)
        stack.client("stepfunctions").stop_execution(executionArn=rollback)
        assert stack.end(rollback)["status"] == "ABORTED"
    # A new execution would be listed before StopExecution answers.
    assert [each["name"] for each in executions(stack)] == [each["name"] for each in before]


def test_rollback_without_permission_is_retried_and_published_until_it_succeeds(stack: Stack) -> None:
    # Without invocations, nothing is analyzed before the permission is removed.
    execution = stack.start("3", on_inconclusive="hold", ignore_alarms_reason="test the analysis")
    stack.shifted(execution)
    with stack.load():
        with stack.denied("lambda:UpdateAlias"):
            stack.wait_for("live: ROLLBACK FAILED")
            still = stack.alias()
        ended = stack.end(execution)
    assert still == ("1", {"3": 0.5})
    assert (ended["error"], stack.alias()) == ("RolledBack", ("1", {}))


def test_role_does_not_allow_another_function(stack: Stack) -> None:
    """With the name of another function in its definition, the state machine is not authorized."""
    with stack.definition(f'"FunctionName":"{stack.name}"', f'"FunctionName":"{stack.name}-other"'):
        ended = stack.end(stack.start("2"))
    assert ended["error"] == "NotStarted"
    assert "is not authorized to perform: lambda:GetFunctionConfiguration" in json.loads(ended["cause"])["reason"]


def test_every_input_ends_with_a_name_and_starts_nothing_else(stack: Stack) -> None:
    machines = stack.client("stepfunctions")
    contents: list[Any] = []

    @given(INPUTS)
    @settings(max_examples=200, phases=[Phase.generate], derandomize=True, database=None)
    def generate(content: Any) -> None:
        contents.append(content)

    generate()
    before, active = {each["executionArn"] for each in executions(stack)}, stack.alias()[0]
    started = [
        machines.start_execution(stateMachineArn=stack.machine(), name=f"live-input-{i}", input=json.dumps(content))
        for i, content in enumerate(contents)
    ]
    ended = [stack.end(each["executionArn"]) for each in started]
    unnamed = [each for each in ended if each["status"] != "SUCCEEDED" and each.get("error") not in ERRORS]
    assert (len(ended), unnamed) == (200, [])
    assert {each["executionArn"] for each in executions(stack)} - before == {each["executionArn"] for each in started}
    # The alias has the version of the release that moved it last, if one of them was neither refused nor rolled back.
    alias = stack.client("lambda").get_alias(FunctionName=stack.name, Name="live")
    succeeded = {each["name"]: json.loads(each["output"])["to"] for each in ended if each["status"] == "SUCCEEDED"}
    assert stack.alias() == (succeeded.get(alias["Description"].removeprefix("Released by "), active), {})
    assert {each.get("error") for each in ended} >= {None, "InvalidInput", "NoSuchVersion"}


def executions(stack: Stack) -> list[Any]:
    """Return every execution of live."""
    pages = stack.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=stack.machine())
    return [execution for page in pages for execution in page["executions"]]


def test_log_has_every_execution(stack: Stack) -> None:
    logs = stack.client("logs")
    execution = stack.start("1")
    stack.end(execution)

    def events() -> list[dict[str, Any]]:
        found = logs.filter_log_events(logGroupName=f"/aws/vendedlogs/states/{stack.name}-live-release")["events"]
        lines = [json.loads(event["message"]) for event in found]
        return [line for line in lines if line.get("execution_arn") == execution]

    def types() -> set[str]:
        return {line["type"] for line in events()}

    eventually(lambda: {"ExecutionStarted", "TaskStateEntered", "ExecutionFailed"} <= types())


def test_nothing_is_left_running(stack: Stack) -> None:
    listed = stack.client("stepfunctions").list_executions

    def ended() -> bool:
        machines = map(stack.machine, ("dev", "test", "live"))
        return not any(listed(stateMachineArn=machine, statusFilter="RUNNING")["executions"] for machine in machines)

    eventually(ended, PATIENCE_SECONDS)
