"""Keep subscriptions pending until their endpoint confirms them.

https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import sns

from emulator import hooks

# No mail is sent here, so nobody confirms these.
_MAIL = {"email", "email-json"}


def install() -> None:
    """Put this in front of MiniStack's own Subscribe and lists."""
    hooks.wrap(sns, "_subscribe", ["params"], _subscribe)
    hooks.wrap(sns, "_list_subscriptions", ["params"], _list)
    hooks.wrap(sns, "_list_subscriptions_by_topic", ["params"], _list)


def _subscribe(original: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    answer = original(params)
    topic = sns._topics.get(sns._p(params, "TopicArn"))
    if answer[0] != 200 or topic is None:
        return answer
    wanted = (sns._p(params, "Protocol"), sns._p(params, "Endpoint"))
    (subscription,) = (found for found in topic["subscriptions"] if (found["protocol"], found["endpoint"]) == wanted)
    if subscription["protocol"] in _MAIL:
        subscription["confirmed"] = False
        subscription["attributes"] |= {"ConfirmationWasAuthenticated": "false", "PendingConfirmation": "true"}
        sns._refresh_subscription_counts(topic)
    told = subscription["confirmed"] or sns._p(params, "ReturnSubscriptionArn").lower() == "true"
    arn = subscription["arn"] if told else "pending confirmation"
    result = f"<SubscribeResult><SubscriptionArn>{arn}</SubscriptionArn></SubscribeResult>"
    return sns._xml(200, "SubscribeResponse", result)


def _list(original: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    status, headers, body = original(params)
    text = body.decode()
    for topic in sns._topics.values():
        for subscription in topic["subscriptions"]:
            if not subscription["confirmed"]:
                text = text.replace(f"<SubscriptionArn>{subscription['arn']}<", "<SubscriptionArn>PendingConfirmation<")
    return status, headers, text.encode()
