"""The rehearsal reads conditions as GitHub does, and refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.python.pipeline.expressions import condition, substitute

CONTEXTS: dict[str, Any] = {
    "needs": {"plan": {"result": "success", "outputs": {"changes": "true"}}, "infrastructure": {"outputs": {}}},
    "vars": {"AWS_REGION": ""},
}


def holds(text: str, *, succeeded: bool = True) -> bool:
    functions = {"success": lambda: succeeded, "failure": lambda: not succeeded, "cancelled": lambda: False}
    return condition(text, CONTEXTS, functions)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("needs.plan.outputs.changes == 'true'", True),
        ("needs.plan.outputs.changes == 'TRUE'", True),
        ("needs.plan.outputs.unknown == ''", True),
        ("needs.infrastructure.outputs.state != 'superseded'", True),
        ("needs.plan.result != 'success'", False),
        ("!failure() && !cancelled() && needs.plan.result == 'success'", True),
        ("failure() || needs.plan.result == 'success'", True),
        ("!(needs.plan.result == 'success')", False),
        ("${{ vars.AWS_REGION }}", False),
    ],
)
def test_condition_has_the_value_of_github(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_condition_without_a_status_requires_success() -> None:
    assert not holds("needs.plan.result == 'success'", succeeded=False)
    assert holds("!cancelled() && needs.plan.result == 'success'", succeeded=False)


def test_text_has_values_and_defaults() -> None:
    assert substitute("in ${{ vars.AWS_REGION || 'eu-west-2' }}", CONTEXTS) == "in eu-west-2"


@pytest.mark.parametrize("text", ["fromJSON(needs.plan)", "hashFiles('x')", "needs.plan < 1", "runner.os == 'Linux'"])
def test_unknown_expression_is_an_error(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        holds(text)
