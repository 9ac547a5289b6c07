"""Plans of Terraform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
        resources = [
            change["address"]
            for change in self.content.get("resource_changes", [])
            if change["change"]["actions"] not in (["no-op"], ["read"]) or "importing" in change["change"]
        ]
        outputs = [
            f"output.{name}"
            for name, change in self.content.get("output_changes", {}).items()
            if change["actions"] != ["no-op"]
        ]
        return resources + outputs
