"""Terraform applies, plans, changes, and destroys a state machine with its rule, topic, key, and roles."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from tests.terraform.support import Configuration, Provider, copy
from tests.waiting import eventually

SOURCE = Path(__file__).parent / "fixtures" / "step_functions"
Client = Callable[[str], Any]

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def applied(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configuration]:
    configuration = Configuration(
        copy(tmp_path_factory.mktemp("step-functions") / "step_functions", SOURCE), provider=provider
    )
    configuration.variables(name=f"machine-{uuid.uuid4().hex[:8]}").apply()
    yield configuration
    configuration.destroy()


def test_plan_after_apply_is_empty(applied: Configuration) -> None:
    assert applied.changes() == []
    assert applied.detailed_exit_code() == 0


def test_state_machine_runs_and_logs(applied: Configuration, client: Client) -> None:
    machines, logs = client("stepfunctions"), client("logs")
    arn = applied.outputs()["state_machine_arn"]
    execution = machines.start_execution(stateMachineArn=arn)["executionArn"]
    eventually(lambda: "stopDate" in machines.describe_execution(executionArn=execution))
    ended = machines.describe_execution(executionArn=execution)
    assert (ended["status"], ended.get("output")) == ("SUCCEEDED", '"Hello"')
    group = f"/aws/vendedlogs/states/{arn.rpartition(':')[2]}"
    logged = [json.loads(event["message"])["type"] for event in logs.filter_log_events(logGroupName=group)["events"]]
    assert logged[0] == "ExecutionStarted"
    assert logged[-1] == "ExecutionSucceeded"


def test_subscription_waits_for_its_confirmation(applied: Configuration, client: Client) -> None:
    topic = applied.outputs()["topic_arn"]
    (subscription,) = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["SubscriptionArn"]) == ("email", "PendingConfirmation")


def test_state_machine_changes_in_place(applied: Configuration, client: Client) -> None:
    arn = applied.outputs()["state_machine_arn"]
    made = client("stepfunctions").describe_state_machine(stateMachineArn=arn)["creationDate"]
    variables = json.loads((applied.directory / "terraform.tfvars.json").read_text())
    applied.variables(**variables, greeting="Good day").apply()
    machine = client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    assert machine["creationDate"] == made
    assert "Good day" in machine["definition"]
    assert applied.detailed_exit_code() == 0


def test_destroy_leaves_nothing(provider: Provider, client: Client, tmp_path: Path) -> None:
    configuration = Configuration(copy(tmp_path / "step_functions", SOURCE), provider=provider)
    name = f"machine-{uuid.uuid4().hex[:8]}"
    configuration.variables(name=name).apply()
    outputs = configuration.outputs()
    configuration.destroy()
    machines, keys = client("stepfunctions"), client("kms")
    assert name not in [machine["name"] for machine in machines.list_state_machines()["stateMachines"]]
    assert keys.describe_key(KeyId=outputs["key_id"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert f"alias/{name}" not in [alias["AliasName"] for alias in keys.list_aliases()["Aliases"]]
    assert client("events").list_rules(NamePrefix=name)["Rules"] == []
    assert client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/vendedlogs/states/{name}")["logGroups"] == []
    with pytest.raises(botocore.exceptions.ClientError):
        client("sns").get_topic_attributes(TopicArn=outputs["topic_arn"])
    subscriptions = client("sns").list_subscriptions()["Subscriptions"]
    assert outputs["topic_arn"] not in [subscription["TopicArn"] for subscription in subscriptions]
    roles = [role["RoleName"] for role in client("iam").list_roles()["Roles"]]
    assert not [role for role in roles if role.startswith(name)]
