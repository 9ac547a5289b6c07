"""The applied root module with custom domains: a stack gets them, is served by them alone, and gives them up."""

from __future__ import annotations

import http.client
import json
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pathtolive import discovery
from pathtolive.target import Target
from tests import provider
from tests.conftest import REGION
from tests.terraform.support import Configuration, copy, write_artifact, write_config

NEWEST = {"function_version": "newest", "gateway_deployment": "newest"}
STAGES = ("dev", "live", "test")


@dataclass
class Stack:
    configuration: Configuration
    client: Callable[[str], Any]
    endpoint: str
    name: str
    certificate: str

    @property
    def domains(self) -> dict[str, Any]:
        """Two stages that share a domain, one of them at its root, and one with a domain of its own."""
        shared, own = ({"name": f"{name}.{self.name}.localhost", "certificate_arn": self.certificate} for name in "ab")
        return {"dev": shared | {"base_path": "dev/v1"}, "live": shared, "test": own}

    def pin(self, names: list[str], live: str) -> None:
        pins = {"dev": NEWEST, "live": NEWEST | {"gateway_deployment": live}, "test": NEWEST}
        write_config(self.configuration.directory, pins, names)

    def apply(self, **variables: Any) -> None:
        self.configuration.variables(name=self.name, **variables).apply()

    def urls(self) -> dict[str, str]:
        return {name: stage["url"] for name, stage in self.configuration.outputs()["stages"].items()}

    def get(self, url: str) -> tuple[int, str]:
        """Send a request to local AWS, for the domain in a URL."""
        at, to = urllib.parse.urlsplit(self.endpoint), urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
        connection.request("GET", to.path, headers={"Host": f"{to.hostname}:{at.port}"})
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    def by_default_endpoint(self) -> dict[str, int]:
        api = self.configuration.outputs()["api_id"]
        return {stage: self.get(f"https://{api}.execute-api.localhost/{stage}/")[0] for stage in STAGES}

    def domain_names(self) -> set[str]:
        names = {item["DomainName"] for item in self.client("apigatewayv2").get_domain_names()["Items"]}
        return {name for name in names if self.name in name}

    def lose(self, *addresses: str) -> set[str]:
        """Remove resources from the state, let Terraform import them, and return the addresses of the imports."""
        self.configuration.run("state", "rm", *addresses)
        self.configuration.run("plan", "-input=false", "-no-color", "-out=plan")
        plan = json.loads(self.configuration.run("show", "-no-color", "-json", "plan").out)
        imports = discovery.imports(Target(self.endpoint, REGION), self.name, plan)
        blocks = [f"import {{\n  to = {address}\n  id = {json.dumps(name)}\n}}\n" for address, name in imports.items()]
        path = self.configuration.directory / "imports.tf"
        path.write_text("\n".join(blocks))
        self.configuration.apply()
        path.unlink()
        return set(imports)


@pytest.fixture(scope="module")
def stack(client: Callable[[str], Any], endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"domains-{uuid.uuid4().hex[:8]}"
    certificate = client("acm").request_certificate(DomainName=f"*.{name}.localhost", ValidationMethod="DNS")
    directory = copy(tmp_path_factory.mktemp("domains") / "terraform")
    write_artifact(directory)
    with provider.running(tmp_path_factory.mktemp("provider"), endpoint, directory) as attached:
        configuration = Configuration(directory, provider=attached)
        stack = Stack(configuration, client, endpoint, name, certificate["CertificateArn"])
        stack.pin(["1"], live="1")
        stack.apply()
        yield stack
        stack.configuration.destroy()


@pytest.mark.long
@pytest.mark.story
class TestDomains:
    """Each test continues the one before it."""

    def test_stack_without_domains_gets_them(self, stack: Stack) -> None:
        stack.apply(domains=stack.domains)
        assert stack.urls() == {
            "dev": f"https://a.{stack.name}.localhost/dev/v1/",
            "live": f"https://a.{stack.name}.localhost/",
            "test": f"https://b.{stack.name}.localhost/",
        }
        targets = stack.configuration.outputs()["domains"]
        assert set(targets) == stack.domain_names() == {f"{name}.{stack.name}.localhost" for name in "ab"}
        assert all(target.endswith(f".execute-api.{REGION}.amazonaws.com") for target in targets.values())

    def test_plan_is_empty(self, stack: Stack) -> None:
        assert stack.configuration.changes() == []
        assert stack.configuration.detailed_exit_code() == 0

    def test_every_stage_answers_at_its_domain_and_at_the_default_endpoint(self, stack: Stack) -> None:
        assert {stage: stack.get(url) for stage, url in stack.urls().items()} == dict.fromkeys(STAGES, (200, "Hello 1"))
        assert stack.get(f"https://a.{stack.name}.localhost/dev/v1/build-info") == (200, "Hello 1")
        assert stack.by_default_endpoint() == dict.fromkeys(STAGES, 200)

    def test_dashboard_links_to_the_domains(self, stack: Stack) -> None:
        body = stack.client("cloudwatch").get_dashboard(DashboardName=stack.name)["DashboardBody"]
        assert all(f"({url})" in body for url in stack.urls().values())

    def test_urls_are_found_without_the_state(self, stack: Stack) -> None:
        found = discovery.outputs(Target(stack.endpoint, REGION), stack.name)["stages"]
        assert {stage: values["url"] for stage, values in found.items()} == stack.urls()

    def test_domains_that_the_state_lacks_are_imported(self, stack: Stack) -> None:
        assert stack.lose("module.domain") == {
            f'module.domain["{domain["name"]}"].{resource}'
            for stage, domain in stack.domains.items()
            for resource in ("aws_apigatewayv2_domain_name.this", f'aws_apigatewayv2_api_mapping.this["{stage}"]')
        }
        assert stack.configuration.detailed_exit_code() == 0

    def test_stage_loses_the_default_endpoint_with_its_next_gateway_deployment(self, stack: Stack) -> None:
        stack.apply(domains=stack.domains, default_endpoint=False)
        assert stack.by_default_endpoint() == {"dev": 404, "live": 200, "test": 404}
        assert stack.configuration.detailed_exit_code() == 0
        outputs = stack.configuration.outputs()
        assert outputs["gateway_deployments"]["1"]["routes"] != outputs["routes"]
        stack.pin(["1", "2"], live="2")
        stack.configuration.apply()
        outputs = stack.configuration.outputs()
        assert outputs["gateway_deployments"]["2"]["routes"] == outputs["routes"]
        assert stack.by_default_endpoint() == dict.fromkeys(STAGES, 404)
        assert {stage: stack.get(url) for stage, url in stack.urls().items()} == dict.fromkeys(STAGES, (200, "Hello 1"))
        assert stack.configuration.detailed_exit_code() == 0

    def test_stack_gives_up_its_domains(self, stack: Stack) -> None:
        stack.apply()
        stack.pin(["1", "2", "3"], live="3")
        stack.apply()
        assert stack.domain_names() == set()
        assert stack.by_default_endpoint() == dict.fromkeys(STAGES, 200)
        assert stack.configuration.detailed_exit_code() == 0


@pytest.mark.long
@pytest.mark.story
class TestHostedZone:
    """Each test continues the one before it. The provider waits half a minute for each change of a record."""

    @pytest.fixture(scope="class")
    @staticmethod
    def zone(stack: Stack) -> Iterator[str]:
        """Yield the ID of a hosted zone, in which Terraform leaves nothing."""
        route53 = stack.client("route53")
        zone = route53.create_hosted_zone(Name=f"{stack.name}.localhost", CallerReference=stack.name)["HostedZone"]
        yield zone["Id"].rpartition("/")[2]
        stack.apply()
        assert records(stack, zone["Id"]) == {}
        route53.delete_hosted_zone(Id=zone["Id"])

    def test_domain_has_a_certificate_of_its_own_and_an_alias_record(self, stack: Stack, zone: str) -> None:
        name = f"api.{stack.name}.localhost"
        stack.apply(domains={"live": {"name": name, "hosted_zone_id": zone}})
        found = records(stack, zone)
        target = stack.configuration.outputs()["domains"][name]
        assert found.pop((f"{name}.", "A"))["AliasTarget"]["DNSName"].rstrip(".") == target
        gateway = stack.client("apigatewayv2").get_domain_name(DomainName=name)["DomainNameConfigurations"][0]
        certificate = stack.client("acm").describe_certificate(CertificateArn=gateway["CertificateArn"])["Certificate"]
        assert certificate["DomainName"] == name
        (validation,) = certificate["DomainValidationOptions"]
        record = validation["ResourceRecord"]
        (kept,) = found.values()
        assert (kept["Name"].rstrip("."), kept["Type"]) == (record["Name"].rstrip("."), "CNAME")
        assert [value["Value"] for value in kept["ResourceRecords"]] == [record["Value"]]

    def test_plan_is_empty(self, stack: Stack, zone: str) -> None:
        assert stack.configuration.detailed_exit_code() == 0

    def test_record_that_the_state_lacks_is_imported(self, stack: Stack, zone: str) -> None:
        address = f'module.domain["api.{stack.name}.localhost"].aws_route53_record'
        assert stack.lose(f"{address}.alias[0]", f"{address}.validation[0]") == {f"{address}.alias[0]"}
        assert stack.configuration.detailed_exit_code() == 0


def records(stack: Stack, zone: str) -> dict[tuple[str, str], Any]:
    """Return the records of a hosted zone, by name and type, other than those of the zone itself."""
    found = stack.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {(each["Name"], each["Type"]): each for each in found if each["Type"] not in {"NS", "SOA"}}
