"""What a plan or a state of Terraform contains, in the JSON that ``terraform show -json`` prints.

https://developer.hashicorp.com/terraform/internals/json-format
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any


def documents(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the IAM documents of all resources, each with its place: the address and the attribute.

    A document that names what Terraform has not created yet is unknown in a plan. A state has all of them.
    """
    values = content.get("planned_values") or content.get("values") or {}
    return [
        {"place": f"{resource['address']}.{name}", "document": document}
        for resource in _resources(values.get("root_module", {}))
        if resource["mode"] == "managed"
        for name, value in sorted(resource.get("values", {}).items())
        if (document := _document(value))
    ]


def deleted(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the resources that a plan deletes and does not create again, with the values that they have now."""
    return [
        {name: change[name] for name in ("address", "mode", "name", "type")} | {"values": change["change"]["before"]}
        for change in plan.get("resource_changes", [])
        if change["change"]["actions"] == ["delete"]
    ]


def with_deleted(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan whose planned values include what it deletes: checkov looks at those alone."""
    content = copy.deepcopy(dict(plan))
    module = content.setdefault("planned_values", {}).setdefault("root_module", {})
    module["resources"] = module.get("resources", []) + deleted(plan)
    return content


def _resources(module: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _document(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, str) or '"Statement"' not in value:
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "Statement" in found else None
