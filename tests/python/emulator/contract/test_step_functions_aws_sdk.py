"""https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.python.emulator.contract.state_machines import StateMachine, caught, statement, task
from tests.python.emulator.contract.support import REGION, Client, Function
from tests.waiting import eventually


@pytest.fixture
def able(machine: StateMachine, function: Function) -> StateMachine:
    """Return a state machine that may read and update the aliases of a function with two versions."""
    function.create("def handler(event, context): pass", Environment={"Variables": {"KMSKeyId": "x"}})
    function.update("def handler(event, context): return 2")
    machine.allow(
        statement(["lambda:GetAlias", "lambda:UpdateAlias", "lambda:GetFunctionConfiguration"], "*"),
        statement(["cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms"], "*"),
    )
    return machine


def alias(function: Function, **more: Any) -> dict[str, Any]:
    return {"FunctionName": function.name, "Name": "live"} | more


def test_alias_is_read(able: StateMachine, function: Function) -> None:
    revision = function.alias("live", "1", {"2": 0.25})["RevisionId"]
    able.create({"Call": task("aws-sdk:lambda:getAlias", alias(function))})
    found = able.output()
    assert found | {"Description": ""} == {
        "AliasArn": f"{function.arn}:live",
        "Description": "",
        "FunctionVersion": "1",
        "Name": "live",
        "RevisionId": revision,
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.25}},
    }


def test_alias_without_weights_has_no_routing(able: StateMachine, function: Function) -> None:
    function.alias("live", "1")
    able.create({"Call": task("aws-sdk:lambda:getAlias", alias(function))})
    assert "RoutingConfig" not in able.output()


def test_alias_is_updated_with_weights_from_an_expression(able: StateMachine, function: Function) -> None:
    function.alias("live", "1")
    weights = "{% { $states.input.version: $states.input.percent / 100 } %}"
    arguments = alias(function, RoutingConfig={"AdditionalVersionWeights": weights})
    able.create({"Call": task("aws-sdk:lambda:updateAlias", arguments)})
    assert able.output({"version": "2", "percent": 10})["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}
    assert function.api.get_alias(**alias(function))["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}


def test_alias_loses_its_weights_with_an_empty_map(able: StateMachine, function: Function) -> None:
    function.alias("live", "1", {"2": 0.5})
    arguments = alias(function, FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}})
    able.create({"Call": task("aws-sdk:lambda:updateAlias", arguments)})
    result = able.output()
    assert result["FunctionVersion"] == "2"
    assert not result.get("RoutingConfig", {}).get("AdditionalVersionWeights")


def test_configuration_has_numbers_and_unchanged_names_of_variables(able: StateMachine, function: Function) -> None:
    arguments = {"FunctionName": function.name, "Qualifier": "1"}
    function.api.get_waiter("published_version_active").wait(**arguments)
    able.create({"Call": task("aws-sdk:lambda:getFunctionConfiguration", arguments)})
    found = able.output()
    assert (found["Version"], found["MemorySize"], found["State"]) == ("1", 128, "Active")
    assert found["Environment"]["Variables"] == {"KMSKeyId": "x"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"RevisionId": "11111111-1111-1111-1111-111111111111", "FunctionVersion": "2"}, "PreconditionFailedException"),
        ({"FunctionVersion": "9"}, "ResourceNotFoundException"),
        ({"Name": "dev"}, "ResourceNotFoundException"),
        (
            {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "InvalidParameterValueException",
        ),
    ],
)
def test_refused_update_fails_with_the_exception_of_the_sdk(
    able: StateMachine, function: Function, arguments: dict[str, Any], error: str
) -> None:
    function.alias("live", "1")
    able.create(caught("aws-sdk:lambda:updateAlias", alias(function) | arguments))
    refused = able.output()
    assert refused["Error"] == f"Lambda.{error}"
    assert "(Service: Lambda, Status Code: " in refused["Cause"]


def query(function: Function, metric: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function.name}]
    stat = {
        "Metric": {"Namespace": f"contract/{function.name}", "MetricName": metric, "Dimensions": dimensions},
        "Period": "{% 60 * $states.input.minutes %}",
        "Stat": "Sum",
    }
    return {
        "StartTime": "{% $fromMillis($toMillis($states.context.State.EnteredTime) - 600000) %}",
        "EndTime": "{% $fromMillis($toMillis($states.context.State.EnteredTime) + 60000) %}",
        "MetricDataQueries": [{"Id": "m1", "MetricStat": stat}],
    }


def test_metric_data_has_numbers_and_timestamps(able: StateMachine, function: Function, client: Client) -> None:
    dimensions = [{"Name": "FunctionName", "Value": function.name}]
    for value in (1.5, 2.0):
        client("cloudwatch").put_metric_data(
            Namespace=f"contract/{function.name}",
            MetricData=[{"MetricName": "Calls", "Dimensions": dimensions, "Value": value, "Timestamp": time.time()}],
        )
    able.create({"Call": task("aws-sdk:cloudwatch:getMetricData", query(function, "Calls"))})

    def read() -> Any:
        (result,) = able.output({"minutes": 1})["MetricDataResults"]
        return result if sum(result["Values"]) == 3.5 else None

    result = eventually(read, seconds=PATIENCE)
    assert result["Id"] == "m1"
    assert all(moment.endswith("Z") and moment[10] == "T" for moment in result["Timestamps"])


def test_metric_data_has_empty_lists_without_values(able: StateMachine, function: Function) -> None:
    able.create({"Call": task("aws-sdk:cloudwatch:getMetricData", query(function, "Nothing"))})
    found = able.output({"minutes": 1})
    (result,) = found["MetricDataResults"]
    assert (result["Values"], result["Timestamps"], found["Messages"]) == ([], [], [])


def test_alarms_are_empty_lists_if_none_exist(able: StateMachine) -> None:
    arguments = {"AlarmNames": ["contract-no-such-alarm"], "AlarmTypes": ["CompositeAlarm", "MetricAlarm"]}
    able.create({"Call": task("aws-sdk:cloudwatch:describeAlarms", arguments)})
    assert able.output() == {"CompositeAlarms": [], "MetricAlarms": []}


def test_alarm_has_numbers_and_state(able: StateMachine, alarms: Alarms) -> None:
    # Without data, an alarm with this setting keeps the state that the test sets.
    name = alarms.put(TreatMissingData="ignore", EvaluationPeriods=2, Threshold=1.5)
    alarms.set(name, "ALARM")
    alarms.reaches(name, "ALARM")
    able.create({"Call": task("aws-sdk:cloudwatch:describeAlarms", {"AlarmNames": [name]})})
    (alarm,) = able.output()["MetricAlarms"]
    assert (alarm["StateValue"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("ALARM", 1.5, 2)
    assert alarm["StateUpdatedTimestamp"].endswith("Z")


@pytest.fixture
def parameter(machine: StateMachine, client: Client) -> Iterator[str]:
    """Yield the name of a parameter that the test creates, which the state machine may use, and delete it."""
    name = f"/contract/{machine.name}"
    actions = ["ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter"]
    machine.allow(statement(actions, f"arn:aws:ssm:{REGION}:{machine.account}:parameter{name}"))
    yield name
    client("ssm").delete_parameters(Names=[name])


def test_parameter_is_read(machine: StateMachine, client: Client, parameter: str) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Parameter.html."""
    client("ssm").put_parameter(Name=parameter, Value='{"frozen": true}', Type="String")
    arguments = {"Name": "{% $states.input.name %}"}
    machine.create({"Call": task("aws-sdk:ssm:getParameter", arguments)})
    found = machine.output({"name": parameter})["Parameter"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", found.pop("LastModifiedDate"))
    arn = f"arn:aws:ssm:{REGION}:{machine.account}:parameter{parameter}"
    assert found == {
        "Arn": arn,
        "DataType": "text",
        "Name": parameter,
        "Type": "String",
        "Value": '{"frozen": true}',
        "Version": 1,
    }
    assert [machine.output({"name": name})["Parameter"]["Value"] for name in (arn, f"{parameter}:1")] == [
        '{"frozen": true}'
    ] * 2


def test_parameter_is_written_and_deleted(machine: StateMachine, client: Client, parameter: str) -> None:
    value = {"Name": parameter, "Value": "{% $string({'frozen': $states.input.frozen}) %}", "Type": "String"}
    put = task("aws-sdk:ssm:putParameter", value | {"Overwrite": True})
    machine.create({"Put": put})
    assert [machine.output({"frozen": frozen})["Version"] for frozen in (True, False)] == [1, 2]
    assert client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"] == '{"frozen":false}'
    delete = {"Delete": task("aws-sdk:ssm:deleteParameter", {"Name": parameter})}
    definition = {"QueryLanguage": "JSONata", "StartAt": "Delete", "States": delete}
    machine.api.update_state_machine(stateMachineArn=machine.arn, definition=json.dumps(definition))

    def gone() -> bool:
        # An update takes a few seconds to take effect: the execution may put the parameter again.
        machine.run({"frozen": True})
        return not client("ssm").get_parameters(Names=[parameter])["Parameters"]

    assert eventually(gone)


@pytest.mark.parametrize("action", ["getParameter", "deleteParameter"])
def test_parameter_that_does_not_exist_fails_with_the_exception_of_the_sdk(
    machine: StateMachine, parameter: str, action: str
) -> None:
    machine.create(caught(f"aws-sdk:ssm:{action}", {"Name": parameter}))
    refused = machine.output()
    assert refused["Error"] == "Ssm.ParameterNotFoundException"
    assert "(Service: Ssm, Status Code: 400, Request ID: " in refused["Cause"]


def test_parameter_that_exists_fails_with_the_exception_of_the_sdk(
    machine: StateMachine, client: Client, parameter: str
) -> None:
    value = {"Name": parameter, "Value": "x", "Type": "String"}
    client("ssm").put_parameter(**value)
    machine.create(caught("aws-sdk:ssm:putParameter", value))
    assert machine.output()["Error"] == "Ssm.ParameterAlreadyExistsException"


def test_parameter_needs_the_permission_for_it(machine: StateMachine, client: Client, parameter: str) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html."""
    client("ssm").put_parameter(Name=parameter, Value="y", Type="String")
    machine.allow(statement("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{machine.account}:parameter{parameter}/other"))
    machine.create(caught("aws-sdk:ssm:getParameter", {"Name": parameter}))

    def refused() -> Any:
        # A role keeps its permissions for a few seconds.
        found = machine.output()
        return found if "Error" in found else None

    found = eventually(refused)
    assert found["Error"].startswith("Ssm.")
    assert (
        f"ssm:GetParameter on resource: arn:aws:ssm:{REGION}:{machine.account}:parameter{parameter}" in found["Cause"]
    )


SIBLING = (
    "{% $substring($states.context.Execution.Id, 0, "
    "$length($states.context.Execution.Id) - $length($states.context.Execution.Name)) & $states.input.name %}"
)


@pytest.fixture
def describing(machine: StateMachine) -> StateMachine:
    """Return a state machine that describes the execution whose name is in its input, and catches errors."""
    executions = f"arn:aws:states:{REGION}:{machine.account}:execution:{machine.name}:*"
    machine.allow(statement("states:DescribeExecution", executions))
    machine.create(caught("aws-sdk:sfn:describeExecution", {"ExecutionArn": SIBLING}))
    return machine


def test_execution_is_described(describing: StateMachine) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html."""
    first = describing.start({"name": "none"}, name="first")
    describing.end(first)
    found = describing.output({"name": "first"})
    assert (found["ExecutionArn"], found["Name"], found["Status"]) == (first, "first", "SUCCEEDED")
    assert json.loads(found["Input"]) == {"name": "none"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", found["StopDate"])


def test_execution_that_does_not_exist_fails_with_the_exception_of_the_sdk(describing: StateMachine) -> None:
    refused = describing.output({"name": "none"})
    assert refused["Error"] == "Sfn.ExecutionDoesNotExistException"
    assert "(Service: Sfn, Status Code: 400, Request ID: " in refused["Cause"]


def test_execution_needs_the_permission_to_be_described(describing: StateMachine) -> None:
    describing.allow(statement("states:StartExecution", "*"))

    def refused() -> Any:
        # A role keeps its permissions for a few seconds.
        found = describing.output({"name": "none"})
        return found if "is not authorized" in found["Cause"] else None

    found = eventually(refused)
    assert found["Error"].startswith("Sfn.")
    assert "states:DescribeExecution on resource: arn:aws:states:" in found["Cause"]


def test_message_is_published(machine: StateMachine, client: Client, topic: tuple[str, str]) -> None:
    arn, queue = topic
    machine.allow(statement("sns:Publish", arn))
    attributes = {"stage": {"DataType": "String", "StringValue": "live"}}
    arguments = {"TopicArn": arn, "Subject": "S", "Message": {"a": 1}, "MessageAttributes": attributes}
    machine.create({"Call": task("sns:publish", arguments)})
    assert set(machine.output()) == {"MessageId", "SdkHttpMetadata", "SdkResponseMetadata"}
    queues = client("sqs")
    (message,) = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=20, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == '{"a":1}'
    assert message["MessageAttributes"]["stage"]["StringValue"] == "live"


def test_topic_that_does_not_exist_fails_the_task(able: StateMachine, function: Function) -> None:
    topic = f"arn:aws:sns:{function.arn.split(':')[3]}:{function.account}:contract-no-such-topic"
    able.allow(statement("sns:Publish", topic), policy="publish")
    able.create(caught("sns:publish", {"TopicArn": topic, "Message": "m"}))
    assert able.output()["Error"] == "SNS.NotFoundException"
