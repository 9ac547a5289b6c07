"""What scans read from plans and states."""

from __future__ import annotations

import json
from typing import Any

from pathtolive.scanning import content

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


def resource(address: str, mode: str = "managed", **values: Any) -> dict[str, Any]:
    return {"address": address, "mode": mode, "name": "this", "type": "x", "values": values}


ROOT_MODULE = {
    "resources": [
        resource("x.this", policy=json.dumps(POLICY), name='about "Statement" or so', number=1),
        resource("data.x.this", "data", json=json.dumps(POLICY)),
        resource("x.definition", definition=json.dumps({"States": {"Effect": '"Statement"'}})),
    ],
    "child_modules": [
        {"child_modules": [{"resources": [resource("module.a.module.b.x.this", key=json.dumps(POLICY))]}]}
    ],
}


def test_documents_are_those_of_managed_resources_in_all_modules() -> None:
    expected = [
        {"place": "x.this.policy", "document": POLICY},
        {"place": "module.a.module.b.x.this.key", "document": POLICY},
    ]
    assert content.documents({"planned_values": {"root_module": ROOT_MODULE}}) == expected
    assert content.documents({"values": {"root_module": ROOT_MODULE}}) == expected


def test_plan_without_changes_has_no_documents() -> None:
    assert content.documents({}) == []


def test_deleted_resources_are_added_to_a_copy_of_the_plan() -> None:
    changes = [
        {**resource(f"x.{name}"), "change": {"actions": actions, "before": {"a": 1}, "after": None}}
        for name, actions in (("gone", ["delete"]), ("again", ["delete", "create"]), ("same", ["no-op"]))
    ]
    plan = {"planned_values": {"root_module": {"resources": [resource("x.same")]}}, "resource_changes": changes}
    made = content.with_deleted(plan)
    assert made["planned_values"]["root_module"]["resources"] == [resource("x.same"), resource("x.gone", a=1)]
    assert len(plan["planned_values"]["root_module"]["resources"]) == 1  # type: ignore[index]
