"""https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html."""

from __future__ import annotations

import json
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import Function

SOURCE = "def handler(event, context): return None"


def permit(function: Function, qualifier: str | None, statement: str = "one", **more: Any) -> None:
    function.api.add_permission(
        FunctionName=function.name,
        StatementId=statement,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        **({"Qualifier": qualifier} if qualifier else {}),
        **more,
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


def remove(function: Function, qualifier: str | None, statement: str = "one", **more: Any) -> None:
    named = {"Qualifier": qualifier} if qualifier else {}
    function.api.remove_permission(FunctionName=function.name, StatementId=statement, **named, **more)


def test_statement_of_the_function_is_removed_only_from_it(function: Function) -> None:
    function.create(SOURCE)
    function.alias("dev", "1")
    for qualifier in ("dev", None):
        permit(function, qualifier)
    remove(function, None)
    assert len(policy(function, "dev")) == 1
    with pytest.raises(function.api.exceptions.ResourceNotFoundException):
        policy(function)


def test_statement_that_does_not_exist_cannot_be_removed(function: Function) -> None:
    function.create(SOURCE)
    function.alias("dev", "1")
    with pytest.raises(function.api.exceptions.ResourceNotFoundException):
        remove(function, "dev")
    permit(function, "dev")
    with pytest.raises(function.api.exceptions.ResourceNotFoundException):
        remove(function, "dev", "other")
    assert len(policy(function, "dev")) == 1


def revisions(function: Function) -> dict[str | None, str]:
    """Return the revisions of the function, of its version, and of its aliases."""
    read = function.api.get_function_configuration
    aliases = function.api.list_aliases(FunctionName=function.name)["Aliases"]
    return {
        None: read(FunctionName=function.name)["RevisionId"],
        "1": read(FunctionName=function.name, Qualifier="1")["RevisionId"],
        **{alias["Name"]: alias["RevisionId"] for alias in aliases},
    }


@pytest.fixture
def aliased(function: Function) -> Function:
    """Return a function with a version and two aliases, none of which changes any more."""
    function.create(SOURCE)
    for alias in ("dev", "live"):
        function.alias(alias, "1")
    function.api.get_waiter("function_active_v2").wait(FunctionName=function.name)
    function.api.get_waiter("published_version_active").wait(FunctionName=function.name, Qualifier="1")
    return function


@pytest.mark.parametrize("qualifier", [None, "1", "live"])
def test_policy_changes_the_revision_of_what_it_belongs_to(aliased: Function, qualifier: str | None) -> None:
    """Recorded: https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda_api.py."""
    named = {"Qualifier": qualifier} if qualifier else {}
    before = revisions(aliased)
    permit(aliased, qualifier, RevisionId=before[qualifier])
    permitted = revisions(aliased)
    assert [name for name, revision in permitted.items() if revision != before[name]] == [qualifier]
    found = aliased.api.get_policy(FunctionName=aliased.name, **named)["RevisionId"]
    assert found == permitted[qualifier]
    remove(aliased, qualifier, RevisionId=found)
    removed = revisions(aliased)
    assert [name for name, revision in removed.items() if revision != permitted[name]] == [qualifier]


@pytest.mark.parametrize("qualifier", [None, "1", "live"])
def test_policy_of_another_revision_does_not_change(aliased: Function, qualifier: str | None) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html."""
    outdated = revisions(aliased)[qualifier]
    permit(aliased, qualifier)
    before = revisions(aliased)
    with pytest.raises(aliased.api.exceptions.PreconditionFailedException):
        permit(aliased, qualifier, "two", RevisionId=outdated)
    with pytest.raises(aliased.api.exceptions.PreconditionFailedException):
        remove(aliased, qualifier, RevisionId=outdated)
    assert revisions(aliased) == before
    assert [statement["Sid"] for statement in policy(aliased, qualifier)] == ["one"]


def test_alias_with_the_revision_from_before_its_policy_changed_is_not_updated(aliased: Function) -> None:
    before = revisions(aliased)["live"]
    permit(aliased, "live")
    with pytest.raises(aliased.api.exceptions.PreconditionFailedException):
        aliased.api.update_alias(FunctionName=aliased.name, Name="live", Description="x", RevisionId=before)


def test_policy_of_the_function_is_no_reason_for_a_new_version(aliased: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html."""
    permit(aliased, None)
    assert aliased.api.publish_version(FunctionName=aliased.name)["Version"] == "1"
