"""Plans of Terraform."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERBS = {
    ("create",): "create",
    ("create", "delete"): "replace",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("forget",): "forget",
    ("update",): "update",
}
# Longer values are left out of the words of a plan.
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Change:
    """A change of a resource: what happens to it, and the attributes of an update, in words."""

    address: str
    verb: str
    attributes: Mapping[str, str]

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {value}".strip() for name, value in self.attributes.items())
        return f"{self.verb} {self.address}{f': {shown}' if shown else ''}"


@dataclass(frozen=True)
class Plan:
    """A saved plan, and the output of ``terraform show -json`` for it.

    https://developer.hashicorp.com/terraform/internals/json-format#plan-representation
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The numbers of resources to add, change, and destroy."""
        actions = [change["change"]["actions"] for change in self.content.get("resource_changes", [])]
        counts = [sum(action in each for each in actions) for action in ("create", "update", "delete")]
        imported = sum("importing" in change["change"] for change in self.content.get("resource_changes", []))
        if any(counts) or imported:
            summary = "{} to add, {} to change, {} to destroy".format(*counts)
            return f"{imported} to import, {summary}" if imported else summary
        return "only outputs change" if self.changes else "No changes."

    @property
    def changes(self) -> list[str]:
        """The addresses of the resources and outputs that it changes."""
        outputs = [
            f"output.{name}"
            for name, change in self.content.get("output_changes", {}).items()
            if change["actions"] != ["no-op"]
        ]
        return [change.address for change in self.resources] + outputs

    @property
    def resources(self) -> list[Change]:
        """What it changes of resources; outputs are left out."""
        return [
            Change(change["address"], _verb(change["change"]), dict(_attributes(change["change"])))
            for change in self.content.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"]) or "importing" in change["change"]
        ]


def alias(stage: str) -> str:
    """Return the address of the alias of a stage."""
    return f'module.alias["{stage}"].aws_lambda_alias.this'


def _verb(change: Mapping[str, Any]) -> str:
    verb = VERBS.get(tuple(change["actions"]), "")
    return " and ".join(filter(None, ["import" if "importing" in change else "", verb]))


def _attributes(change: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the attributes that an update changes, and how if both values are short and not sensitive."""
    if change["actions"] != ["update"]:
        return
    before, after, unknown = change["before"], change["after"], change.get("after_unknown", {})
    hidden = [change.get(name) or {} for name in ("before_sensitive", "after_sensitive")]
    for name in sorted({*before, *after, *unknown}):
        values = [before.get(name), after.get(name)]
        later = _marked(unknown.get(name))
        if later or values[0] != values[1]:
            shown = [json.dumps(value) for value in values]
            secret = any(each is True or _marked(each.get(name)) for each in hidden)
            short = all(not isinstance(value, dict | list) for value in values) and len("".join(shown)) <= LONGEST_VALUE
            yield name, f"{shown[0]} -> {shown[1]}" if short and not secret and not later else ""


def _marked(marks: Any) -> bool:
    """Return whether any part of a value is marked as unknown or sensitive: the marks have the value's structure."""
    if isinstance(marks, dict | list):
        return any(map(_marked, marks.values() if isinstance(marks, dict) else marks))
    return marks is True
