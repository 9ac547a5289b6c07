"""Terraform creates the alias of a stage. Then, only deployments, releases, and rollbacks move it: docs/stages.md."""

from __future__ import annotations

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck

TRAFFIC = {"function_version", "routing_config"}


class InfrastructureMovesNoStage(BaseResourceCheck):
    """The rule for plans of the infrastructure."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure that no change of the infrastructure moves a stage to another version",
            id="CKV_PTL_2",
            categories=[CheckCategories.GENERAL_SECURITY],
            supported_resources=["aws_lambda_alias"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Return the result for an alias."""
        moved = TRAFFIC & set(conf.get("__change_keys__", []))
        return CheckResult.FAILED if moved and "update" in conf["__change_actions__"] else CheckResult.PASSED


rule = InfrastructureMovesNoStage()
