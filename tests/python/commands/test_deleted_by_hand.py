"""Resources that somebody deletes by hand: a deployment creates them again, and other commands work without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import Checkout
from tests.conftest import REGION, get

SOURCE = Path("lambda/service/routes.py")
CONFIG = Path(".local/terraform/config.tf")
BUCKET, STATE = f"path-to-live-state-000000000000-{REGION}", "path-to-live.tfstate"
FUNCTION = "path-to-live"
STAGES = ("dev", "test", "live")

pytestmark = pytest.mark.endpoint


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a checkout in which dev and live run version 2, and test runs version 1."""
    with Checkout(tmp_path_factory.mktemp("deleted") / "checkout", TARGET="local") as checkout:
        checkout.make("local")
        checkout.keep_provider()
        checkout.edit(SOURCE, '"Hello, World!"', '"Hello 2"')
        checkout.commit("Say Hello 2")
        checkout.make("build deploy")
        checkout.make("promote FROM=dev TO=live")
        yield checkout


def api(checkout: Checkout) -> str:
    (found,) = checkout.client("apigatewayv2").get_apis()["Items"]
    identity: str = found["ApiId"]
    return identity


def machine(checkout: Checkout) -> str:
    (found,) = checkout.client("stepfunctions").list_state_machines()["stateMachines"]
    arn: str = found["stateMachineArn"]
    return arn


def versions(checkout: Checkout) -> dict[str, str]:
    return {
        alias["Name"]: alias["FunctionVersion"]
        for alias in checkout.client("lambda").list_aliases(FunctionName=FUNCTION)["Aliases"]
    }


def deploy(checkout: Checkout) -> str:
    """Deploy, and verify that every stage answers and that nothing is left to change."""
    said = checkout.make("deploy")
    assert "No changes." in checkout.make("plan")
    assert [get(row["url"])[0] for row in checkout.status().values()] == [200, 200, 200]
    return said


@pytest.mark.story
class TestDeleted:
    """Each test continues the one before it."""

    def test_alias_is_created_again_with_its_pin(self, checkout: Checkout) -> None:
        checkout.client("lambda").delete_alias(FunctionName=FUNCTION, Name="live")
        status = checkout.status()
        assert (status["live"]["function_version"], status["test"]["function_version"]) == (None, "1")
        for command in ("rollback STAGE=live", "promote FROM=test TO=live", "release STAGE=live", "record STAGE=live"):
            refused = checkout.run(f"make {command}")
            assert refused.returncode != 0
            assert "live has no alias. Create it with: make deploy TARGET=local" in refused.stderr, command
        assert "2 to add, 0 to change, 0 to destroy" in deploy(checkout)
        assert versions(checkout) == {"dev": "2", "test": "1", "live": "2"}

    def test_alias_of_an_unpinned_stage_is_created_again_with_its_version(self, checkout: Checkout) -> None:
        checkout.client("lambda").delete_alias(FunctionName=FUNCTION, Name="test")
        checkout.edit(CONFIG, 'test = { function_version = "1", ', "test = { ")
        deploy(checkout)
        assert versions(checkout)["test"] == "1"

    def test_api_stage_permission_alarm_dashboard_rule_and_log_groups_are_created_again(
        self, checkout: Checkout
    ) -> None:
        checkout.client("apigatewayv2").delete_stage(ApiId=api(checkout), StageName="test")
        checkout.client("lambda").remove_permission(FunctionName=FUNCTION, Qualifier="live", StatementId="stage-live")
        checkout.client("cloudwatch").delete_alarms(AlarmNames=[f"{FUNCTION}-live-unhealthy"])
        checkout.client("cloudwatch").delete_alarms(AlarmNames=[f"{FUNCTION}-live-error-rate"])
        checkout.client("cloudwatch").delete_dashboards(DashboardNames=[FUNCTION])
        for name in (f"/aws/lambda/{FUNCTION}", f"/aws/apigateway/{FUNCTION}/live"):
            checkout.client("logs").delete_log_group(logGroupName=name)
        events = checkout.client("events")
        (rule,) = (rule["Name"] for rule in events.list_rules()["Rules"])
        events.remove_targets(Rule=rule, Ids=[one["Id"] for one in events.list_targets_by_rule(Rule=rule)["Targets"]])
        events.delete_rule(Name=rule)
        status = checkout.status()
        assert (status["test"]["revision"], status["live"]["revision"]) == (None, None)
        deploy(checkout)

    def test_permission_that_the_state_lacks_is_imported(self, checkout: Checkout) -> None:
        """As if a deployment was interrupted between the request to Lambda and the update of the state."""
        s3 = checkout.client("s3")
        state = json.loads(s3.get_object(Bucket=BUCKET, Key=STATE)["Body"].read())
        kept = [one for one in state["resources"] if one["type"] != "aws_lambda_permission"]
        s3.put_object(Bucket=BUCKET, Key=STATE, Body=json.dumps(state | {"resources": kept}))
        assert "3 to import, 0 to add, 0 to change, 0 to destroy" in deploy(checkout)

    def test_rollback_needs_a_version_without_the_state_machine(self, checkout: Checkout) -> None:
        checkout.client("stepfunctions").delete_state_machine(stateMachineArn=machine(checkout))
        refused = checkout.run("make rollback STAGE=live")
        assert refused.returncode != 0
        assert "The state machine that runs releases does not exist, and the history is lost with it." in refused.stderr
        assert "To roll back without it, set the version, such as VERSION=3." in refused.stderr
        assert checkout.status()["live"]["function_version"] == "2"
        assert "All traffic of live goes to version 1" in checkout.make("rollback STAGE=live VERSION=1")
        assert checkout.status()["live"] | {"function_version": "1", "pinned_version": "1"} == checkout.status()["live"]

    def test_state_machine_is_created_again(self, checkout: Checkout) -> None:
        for command in ("release STAGE=live", "history STAGE=live"):
            refused = checkout.run(f"make {command}")
            assert "Create it with: make deploy TARGET=local" in refused.stderr
        deploy(checkout)
        checkout.make("promote FROM=dev TO=live")
        assert versions(checkout)["live"] == "2"

    def test_commands_work_without_the_state_bucket(self, checkout: Checkout) -> None:
        delete_bucket(checkout)
        assert versions(checkout) == {stage: row["function_version"] for stage, row in checkout.status().items()}
        rolled_back = checkout.run("make rollback STAGE=live")
        assert "All traffic of live goes to version 1" in rolled_back.stdout
        assert "live runs version 1, but Terraform's state does not record it" in rolled_back.stderr
        assert versions(checkout)["live"] == "1"

    def test_deployment_imports_what_the_state_lacks_and_moves_no_stage(self, checkout: Checkout) -> None:
        checkout.edit(CONFIG, 'live = { function_version = "1"', 'live = { function_version = "2"')
        before, routes = api(checkout), deployments(checkout)
        assert " to import, " in deploy(checkout)
        assert versions(checkout) | {"dev": ""} == {"dev": "", "test": "1", "live": "1"}
        assert (api(checkout), deployments(checkout)) == (before, routes)
        assert len(checkout.client("iam").list_roles()["Roles"]) == 3
        assert len(checkout.client("kms").list_keys()["Keys"]) == 1


def deployments(checkout: Checkout) -> dict[str, Any]:
    stages = checkout.client("apigatewayv2").get_stages(ApiId=api(checkout))["Items"]
    return {stage["StageName"]: stage.get("DeploymentId") for stage in stages if not stage.get("AutoDeploy")}


def delete_bucket(checkout: Checkout) -> None:
    s3 = checkout.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=BUCKET, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)
