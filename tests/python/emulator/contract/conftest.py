"""Functions and APIs for tests that also pass on AWS."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest

from tests.python.emulator.contract.alarms import Alarms
from tests.python.emulator.contract.state_machines import StateMachine, document, statement, trust
from tests.python.emulator.contract.support import ECHO, Api, Client, Function


@pytest.fixture
def function(client: Client) -> Iterator[Function]:
    """Yield a function that the test creates, with a role, and delete both after the test."""
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
    """Yield an HTTP API without routes, and delete it after the test."""
    gateway = client("apigatewayv2")
    made = gateway.create_api(Name=function.name, ProtocolType="HTTP")["ApiId"]
    yield Api(client, endpoint, function, made)
    gateway.delete_api(ApiId=made)


@pytest.fixture
def echo(api: Api) -> Api:
    """Return an API that answers every request with its event, on a stage that deploys automatically."""
    api.function.create(ECHO)
    api.permit()
    api.route("$default", api.integrate())
    api.stage(AutoDeploy=True, StageVariables={"colour": "blue"})
    return api


@pytest.fixture
def machine(client: Client) -> Iterator[StateMachine]:
    """Yield a state machine that the test creates, with a role without permissions, and delete both after the test."""
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


@pytest.fixture
def alarms(client: Client, minute: float) -> Iterator[Alarms]:
    """Yield alarms on the metrics of a separate namespace, and delete them after the test."""
    made = Alarms(client, minute)
    yield made
    made.delete()


@pytest.fixture
def topic(client: Client, machine: StateMachine) -> Iterator[tuple[str, str]]:
    """Yield the ARN of a topic and the URL of a queue for its raw messages, and delete both after the test."""
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


@pytest.fixture
def quiet_topic(client: Client) -> Iterator[str]:
    """Yield the ARN of a topic without subscriptions, and delete it after the test."""
    arn = client("sns").create_topic(Name=f"contract-{uuid.uuid4().hex[:8]}")["TopicArn"]
    yield str(arn)
    client("sns").delete_topic(TopicArn=arn)
