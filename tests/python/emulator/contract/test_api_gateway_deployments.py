"""https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.html."""

from __future__ import annotations

import botocore.exceptions
import pytest

from tests.python.emulator.contract.support import ECHO, Api


@pytest.fixture
def routed(api: Api) -> Api:
    """Return an API with the route /one and without a deployment."""
    api.function.create(ECHO)
    api.permit()
    api.route("GET /one", api.integrate())
    return api


def refusal(error: pytest.ExceptionInfo[botocore.exceptions.ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_stage_without_a_deployment_answers_404(routed: Api) -> None:
    routed.stage()
    answer = routed.call("/one")
    assert (answer.status, answer.json) == (404, {"message": "Not Found"})


def test_stage_serves_its_deployment(routed: Api) -> None:
    before = routed.deploy()
    routed.route("GET /two", routed.integrate())
    after = routed.deploy()
    routed.stage("old", DeploymentId=before)
    routed.stage("new", DeploymentId=after)
    found = {stage: [routed.call(path, stage).status for path in ("/one", "/two")] for stage in ("old", "new")}
    assert found == {"old": [200, 404], "new": [200, 200]}


def test_deployment_keeps_deleted_routes(routed: Api) -> None:
    routed.stage(DeploymentId=routed.deploy())
    (route,) = routed.gateway.get_routes(ApiId=routed.id)["Items"]
    routed.gateway.delete_route(ApiId=routed.id, RouteId=route["RouteId"])
    assert routed.call("/one").status == 200


def test_deployment_keeps_the_previous_integrations(routed: Api) -> None:
    routed.stage(DeploymentId=routed.deploy())
    (integration,) = routed.gateway.get_integrations(ApiId=routed.id)["Items"]
    routed.gateway.update_integration(
        ApiId=routed.id, IntegrationId=integration["IntegrationId"], PayloadFormatVersion="1.0"
    )
    assert routed.call("/one").json["event"]["version"] == "2.0"


def test_deployment_created_for_a_stage_is_served(routed: Api) -> None:
    routed.stage()
    deployment = routed.deploy(StageName="dev")
    assert routed.gateway.get_stage(ApiId=routed.id, StageName="dev")["DeploymentId"] == deployment
    assert routed.call("/one").status == 200


def test_stage_can_be_moved_to_another_deployment(routed: Api) -> None:
    routed.stage(DeploymentId=routed.deploy())
    routed.route("GET /two", routed.integrate())
    routed.gateway.update_stage(ApiId=routed.id, StageName="dev", DeploymentId=routed.deploy())
    assert routed.call("/two").status == 200


def test_automatic_stage_follows_every_change(routed: Api) -> None:
    routed.stage(AutoDeploy=True)
    assert routed.call("/one").status == 200
    first = routed.gateway.get_stage(ApiId=routed.id, StageName="dev")
    integration = routed.integrate()
    route = routed.route("GET /two", integration)
    assert routed.call("/two").status == 200
    routed.gateway.update_integration(ApiId=routed.id, IntegrationId=integration, PayloadFormatVersion="1.0")
    assert routed.call("/two").json["event"]["version"] == "1.0"
    routed.gateway.update_route(ApiId=routed.id, RouteId=route, RouteKey="GET /three")
    assert [routed.call(path).status for path in ("/two", "/three")] == [404, 200]
    routed.gateway.delete_route(ApiId=routed.id, RouteId=route)
    assert routed.call("/three").status == 404
    last = routed.gateway.get_stage(ApiId=routed.id, StageName="dev")
    assert first["DeploymentId"] != last["DeploymentId"]
    assert last["LastDeploymentStatusMessage"] == (
        f"Successfully deployed stage with deployment ID '{last['DeploymentId']}'"
    )


def test_automatic_deployment_is_marked(routed: Api) -> None:
    routed.stage(AutoDeploy=True)
    own = routed.deploy()
    automatic = routed.gateway.get_stage(ApiId=routed.id, StageName="dev")["DeploymentId"]
    found = {item["DeploymentId"]: item for item in routed.gateway.get_deployments(ApiId=routed.id)["Items"]}
    assert found[automatic]["AutoDeployed"] is True
    assert not found[own].get("AutoDeployed")


def test_deployments_have_the_fields_of_aws(routed: Api) -> None:
    deployment = routed.gateway.get_deployment(ApiId=routed.id, DeploymentId=routed.deploy(Description="first"))
    assert deployment["Description"] == "first"
    assert deployment["DeploymentStatus"] == "DEPLOYED"
    raw = {key for key in deployment if key != "ResponseMetadata"}
    assert raw <= {"AutoDeployed", "CreatedDate", "DeploymentId", "DeploymentStatus", "Description"}


def test_deployment_in_use_cannot_be_deleted(routed: Api) -> None:
    deployment = routed.deploy()
    routed.stage(DeploymentId=deployment)
    with pytest.raises(botocore.exceptions.ClientError) as error:
        routed.gateway.delete_deployment(ApiId=routed.id, DeploymentId=deployment)
    assert refusal(error) == "BadRequestException"
    assert routed.call("/one").status == 200


def test_deployment_that_is_not_in_use_can_be_deleted(routed: Api) -> None:
    before, after = routed.deploy(), routed.deploy()
    routed.stage(DeploymentId=before)
    routed.gateway.update_stage(ApiId=routed.id, StageName="dev", DeploymentId=after)
    routed.gateway.delete_deployment(ApiId=routed.id, DeploymentId=before)
    assert [item["DeploymentId"] for item in routed.gateway.get_deployments(ApiId=routed.id)["Items"]] == [after]


def test_unknown_deployment_is_refused(routed: Api) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as created:
        routed.stage(DeploymentId="nosuch")
    routed.stage(DeploymentId=routed.deploy())
    with pytest.raises(botocore.exceptions.ClientError) as updated:
        routed.gateway.update_stage(ApiId=routed.id, StageName="dev", DeploymentId="nosuch")
    assert [refusal(created), refusal(updated)] == ["NotFoundException"] * 2
    assert routed.call("/one").status == 200


def test_deployment_for_an_unknown_stage_is_refused(routed: Api) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as error:
        routed.deploy(StageName="nosuch")
    assert refusal(error) == "NotFoundException"


def test_stage_cannot_be_created_twice(routed: Api) -> None:
    routed.stage()
    with pytest.raises(botocore.exceptions.ClientError) as error:
        routed.stage()
    assert refusal(error) == "ConflictException"
