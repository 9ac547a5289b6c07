"""https://docs.aws.amazon.com/sns/latest/api/API_Publish.html."""

from __future__ import annotations

import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import Client


@pytest.mark.parametrize("subject", [" first", "a\nb", "a\tb", "é", "a" * 101], ids=repr)
def test_subject_that_aws_refuses_is_refused(client: Client, quiet_topic: str, subject: str) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client("sns").publish(TopicArn=quiet_topic, Subject=subject, Message="text")
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidParameter", "Invalid parameter: Subject")


def test_message_must_not_be_empty(client: Client, quiet_topic: str) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="Invalid parameter: Empty message"):
        client("sns").publish(TopicArn=quiet_topic, Message="")


def test_subject_can_be_left_out_or_have_100_characters(client: Client, quiet_topic: str) -> None:
    assert client("sns").publish(TopicArn=quiet_topic, Message="text")["MessageId"]
    assert client("sns").publish(TopicArn=quiet_topic, Message="text", Subject="a" * 100)["MessageId"]
