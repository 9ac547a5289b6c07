"""Which changes of a plan belong to the infrastructure, and which to code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pathtolive import config_file, deployment, infrastructure, stages
from pathtolive.cli import CommandError, RefusedError
from pathtolive.plans import Plan
from pathtolive.stack import Stack

FUNCTION = "module.function.aws_lambda_function.this"


def change(address: str, *actions: str, before: Any = None, after: Any = None, **more: Any) -> dict[str, Any]:
    return {"address": address, "change": {"actions": list(actions), "before": before, "after": after, **more}}


def plan(*changes: dict[str, Any]) -> Plan:
    return Plan(Path("next.tfplan"), {"resource_changes": list(changes)})


@pytest.fixture
def here() -> mock.Mock:
    pins = {"dev": config_file.Pin("newest", "newest"), "live": config_file.Pin("3", "1")}
    found = mock.Mock(stages=pins, target=mock.Mock(make_variables=""))
    found.following = Stack.following.__get__(found)
    return found


CODE = change(
    FUNCTION,
    "update",
    before={"source_code_hash": "a", "version": "3", "environment": [{"variables": {}}]},
    after={"source_code_hash": "b", "environment": [{"variables": {}}]},
    after_unknown={"version": True, "environment": [{"variables": {}}]},
)
DEV = change('module.alias["dev"].aws_lambda_alias.this', "update", before={"name": "dev"}, after={"name": "dev"})
ROUTES = change('module.api.aws_apigatewayv2_deployment.this["2"]', "create", after={})
MEMORY = change(FUNCTION, "update", before={"memory_size": 128}, after={"memory_size": 256})
LIVE = change('module.alias["live"].aws_lambda_alias.this', "update", before={"v": "3"}, after={"v": "4"})


def test_plan_has_words() -> None:
    secret = change("x.y", "update", before={"key": "a"}, after={"key": "b"}, after_sensitive={"key": True})
    long = change("x.z", "update", before={"key": "a"}, after={"key": "b" * 60})
    found = plan(CODE, MEMORY, ROUTES, secret, long, change("x.w", "delete", "create"), change("x.v", "no-op"))
    assert [str(each) for each in found.resources] == [
        f'update {FUNCTION}: source_code_hash "a" -> "b", version',
        f"update {FUNCTION}: memory_size 128 -> 256",
        'create module.api.aws_apigatewayv2_deployment.this["2"]',
        "update x.y: key",
        "update x.z: key",
        "replace x.w",
    ]


def test_code_and_the_stages_that_follow_it_are_no_infrastructure(here: mock.Mock) -> None:
    deployment.refuse_infrastructure(here, plan(CODE, DEV, ROUTES))


@pytest.mark.parametrize(
    "other",
    [
        MEMORY,
        LIVE,
        change('module.alias["dev"].aws_lambda_alias.this', "delete"),
        change('module.api.aws_apigatewayv2_deployment.this["1"]', "delete"),
        change(FUNCTION, "create", after={}),
        change("aws_sns_topic.this", "create", after={}),
    ],
    ids=lambda each: f"{each['address']}-{each['change']['actions'][0]}",
)
def test_other_changes_are_refused_by_name(here: mock.Mock, other: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        deployment.refuse_infrastructure(here, plan(CODE, other))
    assert f"\n  {plan(other).resources[0]}\n" in str(refused.value)
    assert "First, run: make infrastructure" in str(refused.value)


def reviewed(tmp_path: Path, *changes: dict[str, Any]) -> Path:
    infrastructure.save(plan(*changes), tmp_path / "changes.json")
    assert len(json.loads((tmp_path / "changes.json").read_text())) == len(changes)
    return tmp_path / "changes.json"


def test_plan_that_was_applied_in_part_has_been_reviewed(tmp_path: Path) -> None:
    path = reviewed(tmp_path, MEMORY, change("x.y", "create", after={}))
    infrastructure._refuse_unreviewed(plan(MEMORY), path)


@pytest.mark.parametrize("importing", [True, False])
def test_resource_that_an_interrupted_run_created_has_been_reviewed(tmp_path: Path, *, importing: bool) -> None:
    path = reviewed(tmp_path, change("x.y", "create", after={}))
    found = {"importing": {"id": "y"}} if importing else {}
    exists = change("x.y", "update", before={"tags": {}}, after={"tags": {"a": "b"}}, **found)
    infrastructure._refuse_unreviewed(plan(exists), path)
    with pytest.raises(RefusedError, match=r"Nothing was changed\. Run all jobs"):
        infrastructure._refuse_unreviewed(plan(change("x.y", "delete")), path)


@pytest.fixture
def planning(here: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    here.deployed = {"function_name": "path-to-live"}
    monkeypatch.setattr(stages, "active", lambda _: {"live": mock.Mock()})
    monkeypatch.setattr(stages, "kept", lambda *_: {})
    monkeypatch.setattr(infrastructure, "_name_routes", lambda _: None)
    return here


def test_stage_that_a_release_moved_meanwhile_is_planned_again(planning: mock.Mock) -> None:
    planning.plan.side_effect = [plan(LIVE, MEMORY), plan(MEMORY)]
    assert [str(each) for each in infrastructure.plan(planning).resources] == [str(plan(MEMORY).resources[0])]


def test_workspace_follows_the_newest_version(planning: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of its stages has a release."""
    monkeypatch.setattr(stages, "active", lambda _: {})
    planning.plan.return_value = plan(LIVE, MEMORY)
    assert len(infrastructure.plan(planning).resources) == 2


def test_plan_that_would_move_a_stage_is_refused(planning: mock.Mock) -> None:
    planning.plan.return_value = plan(LIVE)
    with pytest.raises(CommandError, match=r"(?s)Stages moved while .*alias.this: v .3. -> .4.\nNothing was changed"):
        infrastructure.plan(planning)


@pytest.mark.parametrize(
    "other",
    [
        change("x.z", "create", after={}),
        change("x.y", "delete"),
        change(FUNCTION, "update", before={"memory_size": 128, "timeout": 5}, after={"memory_size": 256, "timeout": 6}),
    ],
    ids=["resource", "action", "attribute"],
)
def test_changes_that_were_not_reviewed_are_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    path = reviewed(tmp_path, MEMORY, change("x.y", "create", after={}))
    with pytest.raises(RefusedError, match="not in the plan that was reviewed"):
        infrastructure._refuse_unreviewed(plan(other), path)
