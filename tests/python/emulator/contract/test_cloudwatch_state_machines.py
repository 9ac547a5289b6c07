"""https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.python.emulator.contract.state_machines import trust
from tests.python.emulator.contract.support import Client
from tests.python.emulator.contract.test_cloudwatch_alarms import statistic
from tests.waiting import eventually

Run = Callable[[str, dict[str, Any]], Any]


@pytest.fixture
def run(client: Client, alarms: Alarms) -> Iterator[Run]:
    """Yield a function that sends a request to CloudWatch from a state machine and returns the result."""
    iam, states = client("iam"), client("stepfunctions")
    name = alarms.namespace.replace("/", "-")
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "cloudwatch:*", "Resource": "*"}]}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("states"))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="cloudwatch", PolicyDocument=json.dumps(allow))
    made: list[str] = []

    def call(action: str, arguments: dict[str, Any]) -> Any:
        task = {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:cloudwatch:{action}", "End": True}
        definition = {"StartAt": "Ask", "States": {"Ask": task | {"Parameters": arguments}}}
        machine = states.create_state_machine(name=name, roleArn=role, definition=json.dumps(definition))
        made.append(machine["stateMachineArn"])
        execution = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]

        def ended() -> Any:
            found = states.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        found = eventually(ended, seconds=PATIENCE)
        assert found["status"] == "SUCCEEDED", found
        return json.loads(found["output"])

    yield call
    for machine in made:
        states.delete_state_machine(stateMachineArn=machine)
    iam.delete_role_policy(RoleName=name, PolicyName="cloudwatch")
    iam.delete_role(RoleName=name)


def test_cloudwatch_data_in_a_state_machine_has_numbers(alarms: Alarms, run: Run) -> None:
    begun = alarms.data(1.5)
    query = statistic(alarms, "m", "m") | {"ReturnData": True}
    end = begun + datetime.timedelta(seconds=alarms.minute)
    asked = {"MetricDataQueries": [query], "StartTime": begun, "EndTime": end}
    eventually(lambda: alarms.api.get_metric_data(**asked)["MetricDataResults"][0]["Values"], seconds=PATIENCE)
    span = {"StartTime": begun.isoformat(), "EndTime": end.isoformat()}
    found = run("getMetricData", {"MetricDataQueries": [query], **span})
    (result,) = found["MetricDataResults"]
    assert result["Values"] == [1.5]
    assert [datetime.datetime.fromisoformat(moment) for moment in result["Timestamps"]] == [begun]


def test_cloudwatch_alarms_in_a_state_machine_have_numbers_and_states(alarms: Alarms, run: Run) -> None:
    name = alarms.put(TreatMissingData="ignore", Threshold=2.5)
    alarms.set(name, "ALARM")
    alarms.reaches(name, "ALARM")
    (alarm,) = run("describeAlarms", {"AlarmNames": [name]})["MetricAlarms"]
    assert (alarm["StateValue"], alarm["Threshold"], alarm["Period"]) == ("ALARM", 2.5, 60)
