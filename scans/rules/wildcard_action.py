"""Permissions name each action: a wildcard grants what AWS adds later, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.data.base_check import BaseDataCheck
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck

NAME = "Ensure that no permission has a wildcard in its actions"
ID = "CKV_PTL_1"
ATTRIBUTES = ("policy", "assume_role_policy", "inline_policy")


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value: checkov puts values into lists, and lists into other ones."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _documents(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the IAM documents of an attribute: checkov parses some of them, and leaves others as JSON."""
    if isinstance(value, list):
        for item in value:
            yield from _documents(item)
    elif isinstance(value, str) and '"Statement"' in value:
        yield json.loads(value)
    elif isinstance(value, dict):
        yield value


def _wildcard(effect: Any, actions: Any) -> bool:
    return "Deny" not in _texts(effect) and any("*" in action for action in _texts(actions))


class DocumentNamesActions(BaseDataCheck):
    """The rule for documents in Terraform's language."""

    def __init__(self) -> None:
        super().__init__(name=NAME, id=ID, categories=[CheckCategories.IAM], supported_data=["aws_iam_policy_document"])

    def scan_data_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Return the result for a document."""
        statements = [each for each in conf.get("statement", []) if isinstance(each, dict)]
        bad = any(
            any(_texts(each.get("not_actions"))) or _wildcard(each.get("effect"), each.get("actions"))
            for each in statements
        )
        return CheckResult.FAILED if bad else CheckResult.PASSED


class PolicyNamesActions(BaseResourceCheck):
    """The rule for the documents of resources, which a plan knows."""

    def __init__(self) -> None:
        super().__init__(name=NAME, id=ID, categories=[CheckCategories.IAM], supported_resources=["aws_*"])

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Return the result for a resource, which passes if it has no document."""
        documents = [each for name in ATTRIBUTES for each in _documents(conf.get(name))]
        statements = [
            statement
            for document in documents
            for given in [document.get("Statement", [])]
            for statement in (given if isinstance(given, list) else [given])
        ]
        bad = any("NotAction" in each or _wildcard(each.get("Effect"), each.get("Action")) for each in statements)
        return CheckResult.FAILED if bad else CheckResult.PASSED


documents, policies = DocumentNamesActions(), PolicyNamesActions()
