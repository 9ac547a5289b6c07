"""What serves traffic, what notifies people, and what cannot be created again is neither deleted nor replaced."""

from __future__ import annotations

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck

KEPT = [
    "aws_apigatewayv2_api",
    "aws_apigatewayv2_api_mapping",
    "aws_apigatewayv2_domain_name",
    "aws_apigatewayv2_stage",
    "aws_cloudwatch_composite_alarm",
    "aws_cloudwatch_log_group",
    "aws_cloudwatch_metric_alarm",
    "aws_kms_key",
    "aws_lambda_alias",
    "aws_lambda_function",
    "aws_route53_record",
    "aws_s3_bucket",
    "aws_sfn_state_machine",
    "aws_sns_topic",
]


class ResourceIsKept(BaseResourceCheck):
    """The rule for plans. ``make scan`` adds the resources that a plan deletes."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure that no stage, alarm, log, key, or other resource of the service is deleted or replaced",
            id="CKV_PTL_3",
            categories=[CheckCategories.BACKUP_AND_RECOVERY],
            supported_resources=KEPT,
        )

    def scan_resource_conf(self, conf: dict[str, Any]) -> CheckResult:
        """Return the result for a resource."""
        return CheckResult.FAILED if "delete" in conf.get("__change_actions__", []) else CheckResult.PASSED


rule = ResourceIsKept()
