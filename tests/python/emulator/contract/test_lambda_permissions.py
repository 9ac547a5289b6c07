"""https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import Function

SOURCE = "def handler(event, context): return None"


def permit(function: Function, qualifier: str | None, statement: str = "one") -> None:
    function.api.add_permission(
        FunctionName=function.name,
        StatementId=statement,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        **({"Qualifier": qualifier} if qualifier else {}),
    )


def policy(function: Function, qualifier: str | None = None) -> list[dict[str, Any]]:
    named = {"Qualifier": qualifier} if qualifier else {}
    answer = function.api.get_policy(FunctionName=function.name, **named)
    statements: list[dict[str, Any]] = json.loads(answer["Policy"])["Statement"]
    return statements


def test_statement_id_may_be_used_once_per_qualifier(function: Function) -> None:
    function.create(SOURCE)
    for alias in ("dev", "live"):
        function.alias(alias, "1")
        permit(function, alias)
    permit(function, None)
    for alias in ("dev", "live"):
        (statement,) = policy(function, alias)
        assert (statement["Sid"], statement["Resource"]) == ("one", f"{function.arn}:{alias}")


def test_statement_id_is_refused_twice_on_one_qualifier(function: Function) -> None:
    function.create(SOURCE)
    function.alias("dev", "1")
    permit(function, "dev")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        permit(function, "dev")
    assert refused.value.response["Error"]["Code"] == "ResourceConflictException"


def test_statement_is_removed_only_from_its_qualifier(function: Function) -> None:
    function.create(SOURCE)
    for alias in ("dev", "live"):
        function.alias(alias, "1")
        permit(function, alias)
    function.api.remove_permission(FunctionName=function.name, StatementId="one", Qualifier="dev")
    assert len(policy(function, "live")) == 1
    with pytest.raises(botocore.exceptions.ClientError) as missing:
        policy(function, "dev")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_policy_of_an_alias_is_deleted_with_it(function: Function) -> None:
    """https://github.com/hashicorp/terraform-provider-aws/issues/12917."""
    function.create(SOURCE)
    for alias in ("dev", "live"):
        function.alias(alias, "1")
        permit(function, alias)
    function.api.delete_alias(FunctionName=function.name, Name="dev")
    function.alias("dev", "1")
    permit(function, "dev")
    assert len(policy(function, "dev")) == len(policy(function, "live")) == 1


def test_policy_of_the_function_is_separate_from_those_of_its_aliases(function: Function) -> None:
    function.create(SOURCE)
    function.alias("dev", "1")
    permit(function, "dev")
    with pytest.raises(botocore.exceptions.ClientError) as missing:
        policy(function)
    permit(function, None)
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert [statement["Resource"] for statement in policy(function)] == [function.arn]
