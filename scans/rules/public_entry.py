"""The only way in from the internet is the HTTP API, which has throttles, access logs, and alarms."""

from __future__ import annotations

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck

OTHER_ENTRIES = ["aws_alb", "aws_api_gateway_rest_api", "aws_lambda_function_url", "aws_lb"]
PERMISSION = "aws_lambda_permission"


class OnlyTheApiIsPublic(BaseResourceCheck):
    """The rule for what invokes the function."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure that only the HTTP API invokes the function for requests from the internet",
            id="CKV_PTL_4",
            categories=[CheckCategories.NETWORKING],
            supported_resources=[*OTHER_ENTRIES, PERMISSION],
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Return the result for a resource."""
        by_api = conf.get("principal") == ["apigateway.amazonaws.com"] and any(conf.get("source_arn") or [])
        return CheckResult.PASSED if self.entity_type == PERMISSION and by_api else CheckResult.FAILED


rule = OnlyTheApiIsPublic()
