"""Functions and APIs for tests that would pass on AWS as well."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import SPEED
from tests.python.emulator.contract.alarms import Alarms
from tests.python.emulator.contract.state_machines import StateMachine, document, statement, trust
from tests.python.emulator.contract.support import ECHO, Api, Client, Function


@pytest.fixture
def function(client: Client) -> Iterator[Function]:
    """Give a function that is to be created, with a role; both are deleted."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    iam = client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("lambda"))["Role"]["Arn"]
    made = Function(client, name, role)
    yield made
    functions = client("lambda")
    with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
        functions.delete_function(FunctionName=name)
    iam.delete_role(RoleName=name)


@pytest.fixture
def api(client: Client, endpoint: str, function: Function) -> Iterator[Api]:
    """Give an HTTP API without routes; it is deleted."""
    gateway = client("apigatewayv2")
    made = gateway.create_api(Name=function.name, ProtocolType="HTTP")["ApiId"]
    yield Api(client, endpoint, function, made)
    gateway.delete_api(ApiId=made)


@pytest.fixture
def echo(api: Api) -> Api:
    """Give an API whose every request comes back as its event, on a stage that deploys automatically."""
    api.function.create(ECHO)
    api.permit()
    api.route("$default", api.integrate())
    api.stage(AutoDeploy=True, StageVariables={"colour": "blue"})
    return api


@pytest.fixture
def machine(client: Client) -> Iterator[StateMachine]:
    """Give a state machine that is to be created, with a role without rights; both are deleted."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    iam = client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("states"))["Role"]["Arn"]
    made = StateMachine(client, name, role)
    yield made
    if made.arn:
        running = made.api.list_executions(stateMachineArn=made.arn, statusFilter="RUNNING")["executions"]
        for execution in running:
            made.api.stop_execution(executionArn=execution["executionArn"])
        made.api.delete_state_machine(stateMachineArn=made.arn)
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


@pytest.fixture(scope="session")
def minute(endpoint: str) -> float:
    """Give how many seconds a minute of metrics, waits and alarms takes."""
    return 60 if "amazonaws.com" in endpoint else 60 / SPEED


@pytest.fixture
def alarms(client: Client, minute: float) -> Iterator[Alarms]:
    """Give a namespace for metrics, and alarms on them; the alarms are deleted."""
    made = Alarms(client, minute)
    yield made
    made.delete()


@pytest.fixture
def topic(client: Client, machine: StateMachine) -> Iterator[tuple[str, str]]:
    """Give a topic's ARN, and the URL of a queue that gets its messages as they are; both are deleted."""
    topics, queues = client("sns"), client("sqs")
    topic = topics.create_topic(Name=machine.name)["TopicArn"]
    queue = queues.create_queue(QueueName=machine.name)["QueueUrl"]
    address = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    source = {"ArnEquals": {"aws:SourceArn": topic}}
    policy = statement("sqs:SendMessage", address, Principal={"Service": "sns.amazonaws.com"}, Condition=source)
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document(policy)})
    topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=address, Attributes={"RawMessageDelivery": "true"})
    yield topic, queue
    topics.delete_topic(TopicArn=topic)
    queues.delete_queue(QueueUrl=queue)
