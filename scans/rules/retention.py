"""Logs expire. For checkov's own rule, a log group without an end, whose retention is 0 days, has a retention."""

from __future__ import annotations

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck


class LogsExpire(BaseResourceCheck):
    """The rule for log groups."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure that log groups have a retention period",
            id="CKV_PTL_5",
            categories=[CheckCategories.LOGGING],
            supported_resources=["aws_cloudwatch_log_group"],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Return the result for a log group."""
        (days,) = conf.get("retention_in_days") or [None]
        return CheckResult.PASSED if days else CheckResult.FAILED


rule = LogsExpire()
