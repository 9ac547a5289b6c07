"""Custom domains of HTTP APIs, and the default endpoint without which they are the only URLs.

On AWS, a domain needs a certificate that was validated: only the requests of these tests are as there.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-custom-domain-names.html
"""

from __future__ import annotations

import http.client
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.python.emulator.contract.support import REGION, Answer, Api

CERTIFICATE = f"arn:aws:acm:{REGION}:000000000000:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"


@dataclass
class Domain:
    """A domain of one test, whose name leads to local AWS."""

    api: Api
    name: str

    def map(self, path: str, stage: str) -> str:
        made = self.api.gateway.create_api_mapping(
            ApiId=self.api.id, ApiMappingKey=path, DomainName=self.name, Stage=stage
        )
        return str(made["ApiMappingId"])

    def call(self, path: str, host: str | None = None) -> Answer:
        at = urllib.parse.urlsplit(self.api.endpoint)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
        connection.request("GET", path, headers={"Host": f"{host or self.name}:{at.port}"})
        answer = connection.getresponse()
        found = Answer(answer.status, answer.getheaders(), answer.read())
        connection.close()
        return found

    def stage(self, path: str) -> str:
        """Return the stage that a path leads to."""
        return str(self.call(path).json["event"]["requestContext"]["stage"])

    def by_default_endpoint(self, stage: str) -> Answer:
        return self.call(f"/{stage}/x", f"{self.api.id}.execute-api.localhost")


@pytest.fixture
def domain(echo: Api) -> Iterator[Domain]:
    """Yield a domain without mappings, and an API with the stages dev and live."""
    echo.stage("live", DeploymentId=echo.deploy())
    name = f"api.{uuid.uuid4().hex[:8]}.localhost"
    configuration = {"CertificateArn": CERTIFICATE, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    echo.gateway.create_domain_name(DomainName=name, DomainNameConfigurations=[configuration])
    yield Domain(echo, name)
    echo.gateway.delete_domain_name(DomainName=name)


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
def test_mapping_with_the_longest_path_gets_the_request(domain: Domain) -> None:
    domain.map("", "live")
    domain.map("next", "dev")
    assert {path: domain.stage(path) for path in ("/", "/orders", "/next", "/next/", "/next/orders")} == {
        "/": "live",
        "/orders": "live",
        "/next": "dev",
        "/next/": "dev",
        "/next/orders": "dev",
    }


def test_mapping_can_have_several_levels(domain: Domain) -> None:
    domain.map("orders", "live")
    domain.map("orders/v2", "dev")
    assert [domain.stage(path) for path in ("/orders/v1", "/orders/v2", "/orders/v2/7")] == ["live", "dev", "dev"]


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
# https://github.com/CodeGenieApp/serverless-express/issues/465
def test_event_2_0_has_the_stage_and_not_the_base_path_in_its_paths(domain: Domain) -> None:
    domain.map("next/v1", "live")
    event = domain.call("/next/v1/items/7?a=1").json["event"]
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/live/items/7"
    assert event["rawQueryString"] == "a=1"


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
def test_event_2_0_has_the_domain(domain: Domain) -> None:
    domain.map("", "live")
    context = domain.call("/").json["event"]["requestContext"]
    assert (context["domainName"], context["domainPrefix"]) == (domain.name, "api")


def test_domain_serves_every_path(domain: Domain) -> None:
    domain.map("", "live")
    for path in ("/health", "/_localstack/health", "/2015-03-31/functions", "/v2/apis"):
        assert domain.call(path).json["event"]["rawPath"] == f"/live{path}"


# https://repost.aws/questions/QUp0DAM_5YTk6vThSiM2kcLg
def test_domain_forbids_paths_without_a_mapping(domain: Domain) -> None:
    domain.map("next", "live")
    answer = domain.call("/health")
    assert (answer.status, answer.json) == (403, {"message": "Forbidden"})
    assert answer.header("x-amzn-errortype") == "ForbiddenException"


def test_mapping_can_be_changed_and_deleted(domain: Domain) -> None:
    mapping = {"ApiMappingId": domain.map("", "live"), "DomainName": domain.name}
    domain.api.gateway.update_api_mapping(ApiId=domain.api.id, ApiMappingKey="next", Stage="dev", **mapping)
    assert domain.stage("/next/x") == "dev"
    domain.api.gateway.delete_api_mapping(**mapping)
    assert domain.call("/next/x").status == 403


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-disable-default-endpoint.html
# https://repost.aws/knowledge-center/api-gateway-disable-endpoint
class TestDefaultEndpoint:
    def test_stage_loses_it_when_it_deploys(self, domain: Domain) -> None:
        domain.api.gateway.update_api(ApiId=domain.api.id, DisableExecuteApiEndpoint=True)
        # dev deploys automatically.
        assert [domain.by_default_endpoint(stage).status for stage in ("dev", "live")] == [404, 200]
        domain.api.deploy(StageName="live")
        answer = domain.by_default_endpoint("live")
        assert (answer.status, answer.json) == (404, {"message": "Not Found"})

    def test_stage_has_it_again_when_it_deploys(self, domain: Domain) -> None:
        gateway, api = domain.api.gateway, domain.api.id
        gateway.update_api(ApiId=api, DisableExecuteApiEndpoint=True)
        gateway.update_api(ApiId=api, DisableExecuteApiEndpoint=False)
        assert domain.by_default_endpoint("dev").status == 200

    def test_domain_serves_the_stage_without_it(self, domain: Domain) -> None:
        domain.map("", "dev")
        domain.api.gateway.update_api(ApiId=domain.api.id, DisableExecuteApiEndpoint=True)
        assert domain.by_default_endpoint("dev").status == 404
        assert domain.stage("/") == "dev"

    def test_change_of_something_else_deploys_nothing(self, domain: Domain) -> None:
        gateway, dev = domain.api.gateway, {"ApiId": domain.api.id, "StageName": "dev"}
        before = gateway.get_stage(**dev)["DeploymentId"]
        gateway.update_api(ApiId=domain.api.id, Description="changed")
        assert gateway.get_stage(**dev)["DeploymentId"] == before
