"""https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.python.emulator.contract.support import Client

MAIL = {"Protocol": "email", "Endpoint": "someone@example.com"}


@pytest.fixture
def topic(client: Client) -> Iterator[str]:
    arn = client("sns").create_topic(Name=f"contract-{uuid.uuid4().hex[:8]}")["TopicArn"]
    yield str(arn)
    client("sns").delete_topic(TopicArn=arn)


def test_email_address_is_pending_until_it_confirms(client: Client, topic: str) -> None:
    sns = client("sns")
    assert sns.subscribe(TopicArn=topic, **MAIL)["SubscriptionArn"] == "pending confirmation"
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (listed["SubscriptionArn"], listed["Endpoint"]) == ("PendingConfirmation", MAIL["Endpoint"])
    pages = sns.get_paginator("list_subscriptions").paginate()
    assert listed in [item for page in pages for item in page["Subscriptions"]]
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert (attributes["SubscriptionsPending"], attributes["SubscriptionsConfirmed"]) == ("1", "0")


def test_arn_of_a_pending_subscription_is_returned_on_request(client: Client, topic: str) -> None:
    sns = client("sns")
    arn = sns.subscribe(TopicArn=topic, ReturnSubscriptionArn=True, **MAIL)["SubscriptionArn"]
    assert arn.startswith(f"{topic}:")
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["PendingConfirmation"] == "true"
