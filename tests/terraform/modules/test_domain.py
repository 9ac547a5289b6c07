"""The plan of the domain module by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.terraform.modules.test_modules import Modules, values
from tests.terraform.support import references

CERTIFICATE = "arn:aws:acm:eu-west-2:000000000000:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
ZONE = "Z0123456789ABCDEFGHIJ"
DOMAIN: dict[str, Any] = {
    "api_id": "abc",
    "base_paths": {"live": ""},
    "hosted_zone_id": ZONE,
    "name": "api.example.com",
}


@pytest.fixture(scope="module")
def plan(module: Modules) -> Any:
    return module("domain").variables(**DOMAIN).plan()


@pytest.fixture(scope="module")
def resources(plan: Any) -> dict[str, Any]:
    """Return the configured expressions of each resource."""
    found = plan.configuration["root_module"]["resources"]
    return {resource["address"]: resource["expressions"] for resource in found}


def test_domain_with_a_hosted_zone_has_a_certificate_and_records(plan: Any) -> None:
    assert set(plan.resource_changes) == {
        "aws_acm_certificate.this[0]",
        "aws_acm_certificate_validation.this[0]",
        'aws_apigatewayv2_api_mapping.this["live"]',
        "aws_apigatewayv2_domain_name.this",
        "aws_route53_record.alias[0]",
        "aws_route53_record.validation[0]",
    }


def test_certificate_is_validated_by_its_record_before_the_domain_has_it(plan: Any, resources: dict[str, Any]) -> None:
    certificate = values(plan, "aws_acm_certificate.this[0]")
    assert (certificate["domain_name"], certificate["validation_method"]) == ("api.example.com", "DNS")
    record = resources["aws_route53_record.validation"]
    assert references(record["name"]) == {"local.validation.resource_record_name", "local.validation"}
    assert references(record["records"]) == {"local.validation.resource_record_value", "local.validation"}
    assert references(record["type"]) == {"local.validation.resource_record_type", "local.validation"}
    validation = resources["aws_acm_certificate_validation.this"]
    assert "aws_route53_record.validation" in references(validation["validation_record_fqdns"])
    (configuration,) = resources["aws_apigatewayv2_domain_name.this"]["domain_name_configuration"]
    assert references(configuration["certificate_arn"]) == {"local.certificate_arn"}
    assert (
        values(plan, "aws_apigatewayv2_domain_name.this")["domain_name_configuration"][0].get("certificate_arn") is None
    )


def test_domain_is_regional_and_refuses_tls_before_1_2(plan: Any) -> None:
    (configuration,) = values(plan, "aws_apigatewayv2_domain_name.this")["domain_name_configuration"]
    assert (configuration["endpoint_type"], configuration["security_policy"]) == ("REGIONAL", "TLS_1_2")


def test_record_is_an_alias_of_the_domain_that_serves_the_stages(plan: Any, resources: dict[str, Any]) -> None:
    record = values(plan, "aws_route53_record.alias[0]")
    assert (record["name"], record["type"], record["zone_id"]) == ("api.example.com", "A", ZONE)
    (alias,) = resources["aws_route53_record.alias"]["alias"]
    assert "aws_apigatewayv2_domain_name.this" in references(alias["name"]) & references(alias["zone_id"])
    (configured,) = [
        resource
        for resource in plan.configuration["root_module"]["resources"]
        if resource["address"] == "aws_route53_record.alias"
    ]
    assert configured["depends_on"] == ["aws_apigatewayv2_api_mapping.this"]


def test_domain_with_a_certificate_alone_has_no_records(module: Modules) -> None:
    plan = module("domain").variables(**DOMAIN | {"certificate_arn": CERTIFICATE, "hosted_zone_id": None}).plan()
    assert set(plan.resource_changes) == {
        'aws_apigatewayv2_api_mapping.this["live"]',
        "aws_apigatewayv2_domain_name.this",
    }
    (configuration,) = values(plan, "aws_apigatewayv2_domain_name.this")["domain_name_configuration"]
    assert configuration["certificate_arn"] == CERTIFICATE


def test_domain_with_both_has_the_certificate_and_the_alias(module: Modules) -> None:
    plan = module("domain").variables(**DOMAIN | {"certificate_arn": CERTIFICATE}).plan()
    assert set(plan.resource_changes) == {
        'aws_apigatewayv2_api_mapping.this["live"]',
        "aws_apigatewayv2_domain_name.this",
        "aws_route53_record.alias[0]",
    }


def test_stages_share_a_domain_by_their_base_paths(module: Modules) -> None:
    paths = {"dev": "dev", "live": "", "test": "next/v1"}
    plan = module("domain").variables(**DOMAIN | {"base_paths": paths}).plan()
    mappings = {stage: values(plan, f'aws_apigatewayv2_api_mapping.this["{stage}"]') for stage in paths}
    assert {stage: (mapping["stage"], mapping["api_mapping_key"]) for stage, mapping in mappings.items()} == {
        stage: (stage, path) for stage, path in paths.items()
    }
    assert {(mapping["api_id"], mapping["domain_name"]) for mapping in mappings.values()} == {
        ("abc", "api.example.com")
    }
    assert plan.outputs["urls"] == {
        "dev": "https://api.example.com/dev/",
        "live": "https://api.example.com/",
        "test": "https://api.example.com/next/v1/",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hosted_zone_id": None}, "Domain api.example.com needs a hosted_zone_id, a certificate_arn, or both."),
        ({"hosted_zone_id": "example.com"}, "hosted_zone_id must be the ID of a hosted zone, such as Z0123456789"),
        ({"hosted_zone_id": f"/hostedzone/{ZONE}"}, "hosted_zone_id must be the ID of a hosted zone"),
        ({"certificate_arn": "1234abcd"}, "certificate_arn must be the ARN of an ACM certificate, such as arn:aws:acm"),
        ({"base_paths": {"live": "/v1"}}, "It must not start or end with a slash."),
        ({"base_paths": {"live": "v1/"}}, "It must not start or end with a slash."),
        ({"base_paths": {"live": "v1//a"}}, "a base path must have at most 300 characters: letters, digits, and"),
        ({"base_paths": {"live": "v 1"}}, "a base path must have at most 300 characters: letters, digits, and"),
        ({"base_paths": {"live": "v" * 301}}, "a base path must have at most 300 characters: letters, digits, and"),
        (
            {"base_paths": {"dev": "v1", "live": "v1", "test": ""}},
            "Domain api.example.com: the stages dev, live, test share it, so each needs a base path of its own.",
        ),
        ({"name": "API.example.com"}, '"API.example.com" is not a valid domain. Use a name in lowercase'),
        ({"name": "*.example.com"}, '"*.example.com" is not a valid domain.'),
        ({"name": "https://api.example.com"}, '"https://api.example.com" is not a valid domain.'),
        ({"name": "api.example.com."}, '"api.example.com." is not a valid domain.'),
        ({"name": "example"}, '"example" is not a valid domain.'),
        ({"name": f"{'a' * 64}.example.com"}, "is not a valid domain."),
        ({"name": "a." * 122 + "example.com"}, "is not a valid domain."),
    ],
)
def test_domain_refuses_what_api_gateway_does(module: Modules, changes: dict[str, Any], message: str) -> None:
    refusal = module("domain").variables(**DOMAIN | changes).refusal()
    assert message in refusal
    assert refusal.count("Error:") == 1
