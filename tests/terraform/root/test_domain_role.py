"""The permissions for custom domains that the roles of GitHub Actions have, evaluated as IAM evaluates them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import REGION
from tests.terraform import iam
from tests.terraform.attacks import ACCOUNT, NEW_TAGS, OTHER, OWN, PROVIDER, REPOSITORY, ROLES
from tests.terraform.root.test_deploy_role import Roles, size
from tests.terraform.root.test_root import DOMAINS
from tests.terraform.support import SOURCE, Configuration, Provider, copy

ZONE = "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"
NAMES = f"arn:aws:apigateway:{REGION}::/domainnames"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
# DOMAINS has a certificate for example.com, and Terraform requests one for api.example.com.
READS = [
    *(
        ("apigateway:GET", f"{NAMES}{path}", {})
        for name in ("api.example.com", "example.com")
        for path in ("", f"/{name}", f"/{name}/apimappings", f"/{name}/apimappings/a1b2c3")
    ),
    *((f"acm:{action}", CERTIFICATE, OWN) for action in ("DescribeCertificate", "ListTagsForCertificate")),
    *((f"route53:{action}", ZONE, {}) for action in ("GetHostedZone", "ListResourceRecordSets")),
]
TAGS = f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Fdomainnames%2F"


def requested(*names: str, method: str = "DNS") -> dict[str, Any]:
    return NEW_TAGS | {"acm:DomainNames": list(names), "acm:ValidationMethod": method}


def change(*names: str, kind: str) -> dict[str, Any]:
    prefix = "route53:ChangeResourceRecordSets"
    return {f"{prefix}NormalizedRecordNames": list(names), f"{prefix}RecordTypes": [kind] * len(names)}


VALIDATION = "_3639ac514e785e898d2646601fa951d5.api.example.com"
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    *((f"apigateway:{action}", NAMES, NEW_TAGS) for action in ("POST", "TagResource")),
    *((f"apigateway:{action}", f"{NAMES}/example.com", {}) for action in ("DELETE", "PATCH", "UntagResource")),
    ("apigateway:POST", f"{NAMES}/example.com/apimappings", {}),
    *((f"apigateway:{action}", f"{NAMES}/example.com/apimappings/a1b2c3", {}) for action in ("DELETE", "PATCH")),
    *((f"apigateway:{action}", f"{TAGS}example.com", {}) for action in ("DELETE", "POST", "PUT")),
    ("acm:RequestCertificate", CERTIFICATE, requested("api.example.com")),
    *((f"acm:{action}", CERTIFICATE, OWN) for action in ("AddTagsToCertificate", "DeleteCertificate")),
    ("acm:RemoveTagsFromCertificate", CERTIFICATE, OWN),
    ("route53:ChangeResourceRecordSets", ZONE, change("api.example.com", kind="A")),
    ("route53:ChangeResourceRecordSets", ZONE, change(VALIDATION, kind="CNAME")),
    ("route53:GetChange", "arn:aws:route53:::change/C2682N5HXP0BZ4", {}),
]
DENIED: list[tuple[str, str, dict[str, Any]]] = [
    # Domains of other services
    ("apigateway:POST", NAMES, {"aws:RequestTag/Service": "other"}),
    *((f"apigateway:{action}", f"{NAMES}/other.example.com", {}) for action in ("DELETE", "GET", "PATCH")),
    ("apigateway:POST", f"{NAMES}/other.example.com/apimappings", {}),
    ("apigateway:PUT", f"{TAGS}other.example.com", {}),
    # Certificates that impersonate other names, and those of other services
    *(
        ("acm:RequestCertificate", CERTIFICATE, requested(*names))
        for names in (["www.example.com"], ["*.example.com"], ["api.example.com", "www.example.com"], ["example.com"])
    ),
    ("acm:RequestCertificate", CERTIFICATE, requested("api.example.com", method="EMAIL")),
    *(
        (f"acm:{action}", CERTIFICATE, OTHER)
        for action in ("AddTagsToCertificate", "DeleteCertificate", "DescribeCertificate")
    ),
    ("acm:AddTagsToCertificate", CERTIFICATE, OTHER | NEW_TAGS),
    ("acm:ExportCertificate", CERTIFICATE, OWN),
    # Other records of the zone, such as those that take over mail, or delegate the domain, and other zones
    *(
        ("route53:ChangeResourceRecordSets", ZONE, change(*names, kind=kind))
        for names, kind in (
            (["www.example.com"], "A"),
            (["api.example.com", "www.example.com"], "A"),
            (["api.example.com"], "MX"),
            (["api.example.com"], "NS"),
            (["api.example.com"], "CNAME"),
            (["x.api.example.com"], "A"),
            (["_3639ac514e785e898d2646601fa951d5.example.com"], "CNAME"),
            ([VALIDATION], "TXT"),
            ([VALIDATION, "www.example.com"], "CNAME"),
        )
    ),
    (
        "route53:ChangeResourceRecordSets",
        "arn:aws:route53:::hostedzone/ZOTHER",
        change("api.example.com", kind="A"),
    ),
    ("route53:DeleteHostedZone", ZONE, {}),
]


@pytest.fixture(scope="module")
def bootstrap(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    directory = copy(tmp_path_factory.mktemp("domain-role") / "bootstrap", SOURCE / "bootstrap")
    return Configuration(directory, provider=provider)


def planned(bootstrap: Configuration, **variables: Any) -> Roles:
    given = {"github_repository": REPOSITORY, "github_oidc_provider_arn": PROVIDER, "api_id": "a1b2c3"}
    return Roles(bootstrap.variables(**given, **variables).plan())


@pytest.fixture(scope="module")
def roles(bootstrap: Configuration) -> Roles:
    return planned(bootstrap, domains=DOMAINS)


@pytest.fixture(scope="module")
def without(bootstrap: Configuration) -> Roles:
    return planned(bootstrap)


def allowed(policy: dict[str, Any], requests: list[tuple[str, str, dict[str, Any]]]) -> list[bool]:
    return [iam.allows(policy, action, resource=resource, context=context) for action, resource, context in requests]


@pytest.mark.parametrize("name", ROLES)
def test_every_role_reads_the_domains(roles: Roles, name: str) -> None:
    assert allowed(roles.policy[name], READS) == [True] * len(READS)


@pytest.mark.parametrize("name", ROLES)
def test_infrastructure_role_alone_changes_them(roles: Roles, name: str) -> None:
    assert allowed(roles.policy[name], WRITES) == [name == "infrastructure"] * len(WRITES)


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("request_", DENIED, ids=lambda request_: request_[0])
def test_no_role_changes_other_domains_certificates_or_records(
    roles: Roles, name: str, request_: tuple[str, str, dict[str, Any]]
) -> None:
    assert allowed(roles.policy[name], [request_]) == [False]


@pytest.mark.parametrize("name", ROLES)
def test_roles_have_no_other_actions_than_without_domains(roles: Roles, without: Roles, name: str) -> None:
    added = iam.actions(roles.policy[name]) - iam.actions(without.policy[name])
    used = {action for action, _, _ in [*READS, *(WRITES if name == "infrastructure" else [])]}
    assert added == {action for action in used if not action.startswith("apigateway:")}
    assert iam.actions(without.policy[name]) >= {action for action in used if action.startswith("apigateway:")}


@pytest.mark.parametrize("name", ROLES)
def test_roles_have_no_permissions_for_domains_that_do_not_exist(without: Roles, name: str) -> None:
    assert not any(allowed(without.policy[name], [*READS, *WRITES, *DENIED]))


def test_domain_with_a_certificate_needs_no_permission_for_certificates(
    bootstrap: Configuration,
) -> None:
    found = planned(bootstrap, domains={"live": DOMAINS["live"]})
    services = {action.partition(":")[0] for action in iam.actions(found.policy["infrastructure"])}
    assert not {"acm", "route53"} & services
    # The record that validates a certificate is not needed, either.
    found = planned(bootstrap, domains={"live": DOMAINS["live"] | {"hosted_zone_id": "Z0123456789ABCDEFGHIJ"}})
    policy = found.policy["infrastructure"]
    record = change(VALIDATION.replace("api.", ""), kind="CNAME")
    assert allowed(policy, [("route53:ChangeResourceRecordSets", ZONE, record)]) == [False]
    assert allowed(policy, [("route53:ChangeResourceRecordSets", ZONE, change("example.com", kind="A"))]) == [True]


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
def test_policies_of_ten_domains_are_not_too_long(bootstrap: Configuration) -> None:
    zone = DOMAINS["dev"]["hosted_zone_id"]
    many = {f"stage-{n}": {"name": f"stage-{n}.api.example.com", "hosted_zone_id": zone} for n in range(10)}
    found = planned(bootstrap, domains=many)
    assert max(sum(map(size, policies)) for policies in found.inline.values()) <= 10_240
    assert max(map(size, found.managed.values())) <= 6_144
