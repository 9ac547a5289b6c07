"""https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html."""

from __future__ import annotations

from collections import Counter

import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import Api, Function
from tests.waiting import eventually

VERSION = """
    def handler(event, context):
        return {"version": context.function_version, "arn": context.invoked_function_arn, "label": "LABEL"}
"""


@pytest.fixture
def two_versions(function: Function) -> Function:
    function.create(VERSION.replace("LABEL", "one"))
    function.update(VERSION.replace("LABEL", "two"))
    return function


def test_invoke_by_alias_runs_its_version(two_versions: Function) -> None:
    two_versions.alias("live", "1")
    answer = two_versions.call(qualifier="live")
    assert answer["Payload"] == {"version": "1", "arn": f"{two_versions.arn}:live", "label": "one"}
    assert answer["ExecutedVersion"] == "1"


@pytest.mark.parametrize(("qualifier", "version", "suffix"), [("2", "2", ":2"), (None, "$LATEST", "")])
def test_invoked_arn_has_the_qualifier(
    two_versions: Function, qualifier: str | None, version: str, suffix: str
) -> None:
    answer = two_versions.call(qualifier=qualifier)
    assert answer["Payload"] == {"version": version, "arn": f"{two_versions.arn}{suffix}", "label": "two"}


def test_weights_split_invocations(two_versions: Function) -> None:
    two_versions.alias("live", "1", {"2": 0.5})
    calls = [two_versions.call(qualifier="live") for _ in range(60)]
    shares = Counter(call["ExecutedVersion"] for call in calls)
    # The probability of fewer than 12 of either version in 60 even draws is less than one in a million.
    assert min(shares["1"], shares["2"]) >= 12
    assert all(call["Payload"]["version"] == call["ExecutedVersion"] for call in calls)
    assert {call["Payload"]["arn"] for call in calls} == {f"{two_versions.arn}:live"}


@pytest.mark.parametrize(("weight", "version"), [(1.0, "2"), (0.0, "1")])
def test_weights_of_zero_and_one_select_one_version(two_versions: Function, weight: float, version: str) -> None:
    two_versions.alias("live", "1", {"2": weight})
    assert {two_versions.call(qualifier="live")["ExecutedVersion"] for _ in range(10)} == {version}


def test_weights_apply_to_asynchronous_invocations(two_versions: Function) -> None:
    two_versions.alias("live", "1", {"2": 1.0})
    two_versions.call(qualifier="live", InvocationType="Event")
    assert eventually(lambda: [message for _, message in two_versions.log() if message.endswith("Version: 2")])


def test_weights_apply_to_requests_of_an_api(api: Api) -> None:
    api.function.create('def handler(event, context): return {"statusCode": 200, "body": context.function_version}')
    api.function.update('def handler(event, context): return {"statusCode": 200, "body": "new"}')
    api.function.alias("live", "1", {"2": 0.5})
    api.permit(qualifier="live")
    api.route("$default", api.integrate(":live"))
    api.stage(AutoDeploy=True)
    shares = Counter(api.call().body for _ in range(60))
    assert set(shares) == {b"1", b"new"}
    assert min(shares.values()) >= 12


def test_weights_apply_to_messages_of_a_topic(two_versions: Function) -> None:
    two_versions.alias("live", "1", {"2": 1.0})
    topics = two_versions.client("sns")
    topic = topics.create_topic(Name=two_versions.name)["TopicArn"]
    two_versions.api.add_permission(
        FunctionName=two_versions.name,
        Qualifier="live",
        StatementId="topic",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    topics.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=f"{two_versions.arn}:live")
    topics.publish(TopicArn=topic, Message="hello")
    found = eventually(lambda: [message for _, message in two_versions.log() if message.startswith("START")])
    topics.delete_topic(TopicArn=topic)
    assert found[0].endswith("Version: 2")


@pytest.mark.parametrize(
    ("version", "weights", "code"),
    [
        ("9", {}, "ResourceNotFoundException"),
        ("1", {"9": 0.1}, "ResourceNotFoundException"),
        ("1", {"$LATEST": 0.1}, "InvalidParameterValueException"),
        ("$LATEST", {"1": 0.1}, "InvalidParameterValueException"),
        ("1", {"1": 0.1}, "InvalidParameterValueException"),
    ],
)
def test_alias_with_an_invalid_version_is_refused(
    two_versions: Function, version: str, weights: dict[str, float], code: str
) -> None:
    two_versions.alias("live", "1")
    with pytest.raises(botocore.exceptions.ClientError) as created:
        two_versions.alias("dev", version, weights)
    with pytest.raises(botocore.exceptions.ClientError) as updated:
        two_versions.api.update_alias(
            FunctionName=two_versions.name,
            Name="live",
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )
    assert {error.value.response["Error"]["Code"] for error in (created, updated)} == {code}


@pytest.mark.parametrize("weight", [1.1, -0.1])
def test_alias_with_a_weight_out_of_range_is_refused(two_versions: Function, weight: float) -> None:
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.ParamValidationError)):
        two_versions.alias("live", "1", {"2": weight})


def test_alias_keeps_its_weights_when_only_the_description_changes(two_versions: Function) -> None:
    two_versions.alias("live", "1", {"2": 0.3})
    two_versions.api.update_alias(FunctionName=two_versions.name, Name="live", Description="new")
    alias = two_versions.api.get_alias(FunctionName=two_versions.name, Name="live")
    assert alias["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.3}}


def test_alias_is_not_updated_from_an_outdated_revision(two_versions: Function) -> None:
    revision = two_versions.alias("live", "1")["RevisionId"]
    two_versions.api.update_alias(FunctionName=two_versions.name, Name="live", FunctionVersion="2")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        two_versions.api.update_alias(
            FunctionName=two_versions.name, Name="live", FunctionVersion="1", RevisionId=revision
        )
    assert refused.value.response["Error"]["Code"] == "PreconditionFailedException"
