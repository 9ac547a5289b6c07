"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import Client

QUERY = "fields @timestamp, @message\n| limit 5"


@dataclass
class Definitions:
    """The query definitions of a test, whose names have a folder of their own."""

    api: Any
    folder: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:8]}")

    def put(self, name: str, query: str = QUERY, **more: Any) -> str:
        made = self.api.put_query_definition(name=f"{self.folder}/{name}", queryString=query, **more)
        return str(made["queryDefinitionId"])

    def all(self, prefix: str = "", **more: Any) -> list[dict[str, Any]]:
        found = self.api.describe_query_definitions(queryDefinitionNamePrefix=f"{self.folder}/{prefix}", **more)
        return list(found["queryDefinitions"])

    def names(self, prefix: str = "") -> set[str]:
        return {definition["name"].removeprefix(f"{self.folder}/") for definition in self.all(prefix)}


@pytest.fixture
def definitions(client: Client) -> Iterator[Definitions]:
    made = Definitions(client("logs"))
    yield made
    for definition in made.all():
        made.api.delete_query_definition(queryDefinitionId=definition["queryDefinitionId"])


def test_definition_is_described_as_it_was_put(definitions: Definitions) -> None:
    before = time.time() * 1000 - 60_000
    given: dict[str, Any] = {
        "logGroupNames": ["/aws/lambda/it", "it_2.3#4"],
        "parameters": [{"name": "level", "defaultValue": "ERROR", "description": "Lowest level"}],
    }
    made = definitions.put("errors", **given)
    (found,) = definitions.all()
    assert before <= found.pop("lastModified") <= before + 120_000
    assert found == {
        "queryLanguage": "CWLI",
        "queryDefinitionId": made,
        "name": f"{definitions.folder}/errors",
        "queryString": QUERY,
        **given,
    }


def test_definitions_are_found_by_their_language(definitions: Definitions) -> None:
    made = {language: definitions.put(language, queryLanguage=language) for language in ("CWLI", "PPL")}
    for language, identity in made.items():
        found = definitions.all(queryLanguage=language)
        assert [definition["queryDefinitionId"] for definition in found] == [identity]


def test_definitions_are_found_by_the_start_of_their_names(definitions: Definitions) -> None:
    for name in ("errors", "errors-by-version", "durations"):
        definitions.put(name)
    assert definitions.names("errors") == {"errors", "errors-by-version"}
    assert definitions.names() == {"errors", "errors-by-version", "durations"}


def test_definitions_are_returned_in_pages(definitions: Definitions) -> None:
    for number in range(3):
        definitions.put(str(number))
    prefix = {"queryDefinitionNamePrefix": f"{definitions.folder}/", "maxResults": 2}
    first = definitions.api.describe_query_definitions(**prefix)
    second = definitions.api.describe_query_definitions(**prefix, nextToken=first["nextToken"])
    assert [len(page["queryDefinitions"]) for page in (first, second)] == [2, 1]
    assert "nextToken" not in second
    names = {each["name"] for page in (first, second) for each in page["queryDefinitions"]}
    assert names == {f"{definitions.folder}/{number}" for number in range(3)}


def test_definition_with_an_id_is_replaced_as_a_whole(definitions: Definitions) -> None:
    made = definitions.put("errors", logGroupNames=["it"])
    assert definitions.put("failures", "limit 1", queryDefinitionId=made) == made
    (found,) = definitions.all()
    assert (found["name"], found["queryString"]) == (f"{definitions.folder}/failures", "limit 1")
    assert not found.get("logGroupNames")


def test_definition_is_deleted(definitions: Definitions) -> None:
    made = definitions.put("errors")
    definitions.put("durations")
    assert definitions.api.delete_query_definition(queryDefinitionId=made)["success"] is True
    assert definitions.names() == {"durations"}


def test_id_must_exist(definitions: Definitions) -> None:
    with pytest.raises(definitions.api.exceptions.ResourceNotFoundException):
        definitions.put("errors", queryDefinitionId=str(uuid.uuid4()))
    with pytest.raises(definitions.api.exceptions.ResourceNotFoundException):
        definitions.api.delete_query_definition(queryDefinitionId=str(uuid.uuid4()))


@pytest.mark.parametrize(
    "wrong", [{"name": "a" * 256}, {"queryString": "a" * 10_001}, {"logGroupNames": ["it:*"]}, {"logGroupNames": [""]}]
)
def test_definition_that_exceeds_a_limit_is_refused(definitions: Definitions, wrong: dict[str, Any]) -> None:
    given = {"name": f"{definitions.folder}/errors", "queryString": QUERY} | wrong
    refusals = definitions.api.exceptions.InvalidParameterException, botocore.exceptions.ParamValidationError
    with pytest.raises(refusals):
        definitions.api.put_query_definition(**given)
    assert definitions.names() == set()
