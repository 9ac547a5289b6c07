"""https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html."""

from __future__ import annotations

from tests.python.emulator.contract.support import Client

MAIL = {"Protocol": "email", "Endpoint": "someone@example.com"}


def test_email_address_is_pending_until_it_confirms(client: Client, quiet_topic: str) -> None:
    sns = client("sns")
    assert sns.subscribe(TopicArn=quiet_topic, **MAIL)["SubscriptionArn"] == "pending confirmation"
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=quiet_topic)["Subscriptions"]
    assert (listed["SubscriptionArn"], listed["Endpoint"]) == ("PendingConfirmation", MAIL["Endpoint"])
    pages = sns.get_paginator("list_subscriptions").paginate()
    assert listed in [item for page in pages for item in page["Subscriptions"]]
    attributes = sns.get_topic_attributes(TopicArn=quiet_topic)["Attributes"]
    assert (attributes["SubscriptionsPending"], attributes["SubscriptionsConfirmed"]) == ("1", "0")


def test_arn_of_a_pending_subscription_is_returned_on_request(client: Client, quiet_topic: str) -> None:
    sns = client("sns")
    arn = sns.subscribe(TopicArn=quiet_topic, ReturnSubscriptionArn=True, **MAIL)["SubscriptionArn"]
    assert arn.startswith(f"{quiet_topic}:")
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert attributes["PendingConfirmation"] == "true"
