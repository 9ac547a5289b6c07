"""A deployment publishes its artifact, moves only the intended stages, and creates again what was deleted by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import Checkout
from tests.conftest import REGION, get
from tests.provider import REATTACH

SOURCE = Path("lambda/service/routes.py")
LOCAL = Path(".local/terraform")
CONFIG = LOCAL / "config.tf"
FUNCTION = "path-to-live"
BUCKET, STATE = f"path-to-live-state-000000000000-{REGION}", "path-to-live.tfstate"
# Settings for AWS that must not apply to local AWS.
OTHERS_SETTINGS = {
    "AWS_PROFILE": "nobody",
    "AWS_REGION": "us-east-1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    # A provider that Terraform starts also inherits them.
    REATTACH: "",
}

pytestmark = [pytest.mark.endpoint, pytest.mark.long]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a checkout in which dev and live run version 2, and test runs version 1."""
    with Checkout(tmp_path_factory.mktemp("deploys") / "checkout", TARGET="local") as checkout:
        checkout.make("local", **OTHERS_SETTINGS)
        checkout.keep_provider()
        change(checkout, "Hello, World!", "Hello 2")
        checkout.make("build deploy")
        checkout.make("promote FROM=dev TO=live")
        yield checkout


def change(checkout: Checkout, old: str, new: str) -> None:
    checkout.edit(SOURCE, f'"{old}"', f'"{new}"')
    checkout.commit(f"Say {new}")


def interrupt(checkout: Checkout, **attributes: Any) -> None:
    """Mark the function as changed in Terraform's state, as an interrupted deployment does."""
    content = state(checkout)
    (function,) = (resource for resource in content["resources"] if resource["type"] == "aws_lambda_function")
    function["instances"][0]["attributes"] |= attributes
    checkout.client("s3").put_object(Bucket=BUCKET, Key=STATE, Body=json.dumps(content))


def state(checkout: Checkout) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(checkout.client("s3").get_object(Bucket=BUCKET, Key=STATE)["Body"].read())
    return content


def artifact(checkout: Checkout) -> tuple[bytes, str]:
    """Return the artifact and its hash in Lambda's format."""
    content = (checkout.path / "dist" / "lambda.zip").read_bytes()
    return content, base64.b64encode(hashlib.sha256(content).digest()).decode()


def answers(checkout: Checkout) -> dict[str, str]:
    return {stage: get(row["url"])[1] for stage, row in checkout.status().items()}


def everything(checkout: Checkout) -> dict[str, Any]:
    """Return the state that a read-only command must not change: the target's files, buckets, objects, and aliases."""
    directory, s3 = checkout.path / ".local", checkout.client("s3")
    files = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if "local-aws" not in path.parts}
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    objects = {item["Key"]: item["ETag"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    return {"files": files, "buckets": buckets, "objects": objects, "versions": versions(checkout)}


def api(checkout: Checkout) -> str:
    (found,) = checkout.client("apigatewayv2").get_apis()["Items"]
    identity: str = found["ApiId"]
    return identity


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


def deployments(checkout: Checkout) -> dict[str, Any]:
    stages = checkout.client("apigatewayv2").get_stages(ApiId=api(checkout))["Items"]
    return {stage["StageName"]: stage.get("DeploymentId") for stage in stages if not stage.get("AutoDeploy")}


def delete_bucket(checkout: Checkout) -> None:
    s3 = checkout.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=BUCKET, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=BUCKET)


READ = ["status", "history STAGE=live"]


@pytest.mark.story
class TestStagesStay:
    """Each test continues the one before it. Run the whole class."""

    def test_settings_for_aws_do_not_reach_local_aws(self, checkout: Checkout) -> None:
        assert [bucket["Name"] for bucket in checkout.client("s3").list_buckets()["Buckets"]] == [BUCKET]
        assert answers(checkout) == {"dev": "Hello 2", "test": "Hello, World!", "live": "Hello 2"}

    @pytest.mark.parametrize("command", READ)
    def test_commands_that_read_write_nothing(self, checkout: Checkout, command: str) -> None:
        before = everything(checkout)
        same = checkout.make(f"{command}")
        for settings in (OTHERS_SETTINGS, {"AWS_REGION": "eu-west-1", REATTACH: ""}):
            assert checkout.make(f"{command}", **settings) == same
        assert everything(checkout) == before

    def test_deleted_working_copy_moves_no_stage(self, checkout: Checkout) -> None:
        shutil.rmtree(checkout.path / LOCAL)
        before = everything(checkout)
        said = checkout.make("status", **OTHERS_SETTINGS)
        shown = dict(re.findall(r"^(dev|test|live) +(\d) ", said, re.MULTILINE))
        assert shown == {"dev": "2", "test": "1", "live": "2"}
        assert everything(checkout) == before
        assert "Pinned live to version 2" in checkout.make("deploy")
        assert versions(checkout) == {"dev": "2", "test": "1", "live": "2"}

    def test_state_that_an_apply_could_not_save_is_pushed(self, checkout: Checkout) -> None:
        """https://developer.hashicorp.com/terraform/cli/state/recover#recover-from-state-write-errors."""
        errored, before = checkout.path / LOCAL / "errored.tfstate", state(checkout)
        errored.write_text(json.dumps(before | {"serial": before["serial"] - 1}))
        refused = checkout.run("make plan")
        assert refused.returncode != 0
        assert "errored.tfstate has changes of an earlier apply that Terraform's state lacks." in refused.stderr
        errored.write_text(json.dumps(before | {"serial": before["serial"] + 5}))
        assert "No changes." in checkout.make("plan")
        assert state(checkout)["serial"] > before["serial"]
        assert not errored.exists()

    def test_code_that_an_interrupted_deployment_did_not_update_is_published(self, checkout: Checkout) -> None:
        change(checkout, "Hello 2", "Hello 3")
        checkout.make("build")
        interrupt(checkout, source_code_hash=artifact(checkout)[1])
        assert "version 2, the newest, does not have the code of the artifact" in checkout.make("plan")
        assert "Published version 3" in checkout.make("deploy")
        assert answers(checkout)["dev"] == "Hello 3"
        assert versions(checkout) == {"dev": "3", "test": "1", "live": "2"}

    def test_update_that_an_interrupted_deployment_did_not_publish_is_published(self, checkout: Checkout) -> None:
        functions = checkout.client("lambda")
        functions.update_function_configuration(FunctionName=FUNCTION, MemorySize=256)
        interrupt(checkout, memory_size=256)
        checkout.edit("terraform/variables.tf", "optional(number, 128)", "optional(number, 256)")
        assert "differs from the function in MemorySize" in checkout.make("plan")
        change(checkout, "Hello 3", "Hello 4")
        checkout.make("build")
        content, sha256 = artifact(checkout)
        functions.update_function_code(FunctionName=FUNCTION, ZipFile=content)
        interrupt(checkout, source_code_hash=sha256)
        assert "Published version 4" in checkout.make("deploy")
        assert answers(checkout)["dev"] == "Hello 4"
        newest = functions.get_function_configuration(FunctionName=FUNCTION, Qualifier="4")
        assert (newest["CodeSha256"], newest["MemorySize"]) == (sha256, 256)
        assert "No changes." in checkout.make("deploy")
        assert versions(checkout)["dev"] == "4"


@pytest.mark.story
class TestDeleted:
    """Deployments create what was deleted by hand, and other commands work without it.

    Each test continues the one before it.
    """

    def test_alias_is_created_again_with_its_pin(self, checkout: Checkout) -> None:
        checkout.client("lambda").delete_alias(FunctionName=FUNCTION, Name="live")
        status = checkout.status()
        assert (status["live"]["function_version"], status["test"]["function_version"]) == (None, "1")
        for command in ("rollback STAGE=live", "promote FROM=test TO=live", "release STAGE=live", "record STAGE=live"):
            refused = checkout.run(f"make {command}")
            assert refused.returncode != 0
            assert "live has no alias. Create it with: make deploy TARGET=local" in refused.stderr, command
        assert "2 to add, 0 to change, 0 to destroy" in deploy(checkout)
        assert versions(checkout) == {"dev": "4", "test": "1", "live": "2"}

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
        events, rule = checkout.client("events"), f"{FUNCTION}-live-rollback"
        events.remove_targets(Rule=rule, Ids=[one["Id"] for one in events.list_targets_by_rule(Rule=rule)["Targets"]])
        events.delete_rule(Name=rule)
        status = checkout.status()
        assert (status["test"]["revision"], status["live"]["revision"]) == (None, None)
        deploy(checkout)

    def test_permission_that_the_state_lacks_is_imported(self, checkout: Checkout) -> None:
        """As if a deployment was interrupted between the request to Lambda and the update of the state."""
        content = state(checkout)
        content["resources"] = [one for one in content["resources"] if one["type"] != "aws_lambda_permission"]
        checkout.client("s3").put_object(Bucket=BUCKET, Key=STATE, Body=json.dumps(content))
        assert "3 to import, 0 to add, 0 to change, 0 to destroy" in deploy(checkout)

    def test_rollback_needs_a_version_without_the_state_machine(self, checkout: Checkout) -> None:
        checkout.client("stepfunctions").delete_state_machine(stateMachineArn=checkout.state_machine("live"))
        refused = checkout.run("make rollback STAGE=live")
        assert refused.returncode != 0
        assert (
            "The state machine that runs the releases of live does not exist, and the history is lost" in refused.stderr
        )
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
        assert versions(checkout)["live"] == "4"

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
        # That of the function, and two of each stage.
        assert len(checkout.client("iam").list_roles()["Roles"]) == 7
        assert len(checkout.client("kms").list_keys()["Keys"]) == 1
        queries = checkout.client("logs").describe_query_definitions()["queryDefinitions"]
        assert len({query["name"] for query in queries}) == len(queries) == 5


def alarms(checkout: Checkout, stage: str) -> int:
    """Return the number of the alarms of a stage."""
    found = checkout.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"path-to-live-{stage}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return len(found["MetricAlarms"]) + len(found["CompositeAlarms"])


def stage_urls(checkout: Checkout) -> dict[str, str]:
    return {stage: row["url"] for stage, row in checkout.status().items()}


@pytest.mark.story
class TestStagesChange:
    """A user edits terraform/config.tf alone. Each test continues the one before it. Run the whole class."""

    def edit(self, checkout: Checkout, old: str, new: str) -> None:
        checkout.edit("terraform/config.tf", old, new)

    def test_added_stage_starts_with_the_newest_version(self, checkout: Checkout) -> None:
        before = versions(checkout)
        text = (checkout.path / SOURCE).read_text()
        (checkout.path / SOURCE).write_text(f"{text}# A new version\n")
        self.edit(checkout, "    live = {", '    staging = { gateway_deployment = "1" }\n    live = {')
        checkout.commit("Add a stage")
        said = checkout.make("build deploy")
        assert "staging is new, and starts with the newest version." in said
        newest = str(int(before["dev"]) + 1)
        assert versions(checkout) == before | {"dev": newest, "staging": newest}
        assert f"Pinned staging to version {newest}" in said
        assert list(checkout.status()) == ["dev", "test", "staging", "live"]
        assert get(stage_urls(checkout)["staging"])[0] == 200
        assert alarms(checkout, "staging") == alarms(checkout, "live") == 6

    def test_expression_is_refused(self, checkout: Checkout) -> None:
        copy, before = (checkout.path / CONFIG).read_text(), versions(checkout)
        self.edit(checkout, '["1"]', 'concat(["1"], [])')
        for command in ("deploy", "promote FROM=dev TO=live"):
            refused = checkout.run(f"make {command} TARGET=local")
            assert refused.returncode != 0
            assert "config.tf line 5: gateway_deployments is a function call, but the commands read" in refused.stderr
        self.edit(checkout, 'concat(["1"], [])', '["1"]')
        assert (checkout.path / CONFIG).read_text() == copy
        assert versions(checkout) == before

    def test_stages_that_are_renamed_together_are_refused(self, checkout: Checkout) -> None:
        before = versions(checkout)
        self.edit(checkout, "    live = {", "    prod = {")
        self.edit(checkout, "    test = {", "    qa = {")
        refused = checkout.run("make deploy")
        self.edit(checkout, "    qa = {", "    test = {")
        assert refused.returncode != 0
        assert "config.tf adds qa, prod without a version, and no longer has live, test." in refused.stderr
        assert "Change one stage at a time, and after each change, run: make deploy TARGET=local" in refused.stderr
        assert versions(checkout) == before

    def test_stage_is_not_renamed_during_a_release(self, checkout: Checkout) -> None:
        alias = {"FunctionName": FUNCTION, "Name": "live"}
        functions, before = checkout.client("lambda"), versions(checkout)
        functions.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {before["dev"]: 0.1}})
        refused = checkout.run("make deploy")
        functions.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {}})
        assert refused.returncode != 0
        assert "The alias live has weights" in refused.stderr
        assert "First, put live back into config.tf." in refused.stderr
        assert versions(checkout) == before

    def test_renamed_stage_keeps_its_version(self, checkout: Checkout) -> None:
        before, live = versions(checkout), stage_urls(checkout)["dev"].replace("/dev/", "/live/")
        assert before["live"] != before["dev"]
        assert get(live)[0] == 200
        status = checkout.make("status")
        assert "prod is not deployed. Deploy it with: make build deploy TARGET=local" in status
        assert "live is no longer in config.tf. The next deployment deletes it." in status
        planned = checkout.make("plan")
        assert re.search(rf'module\.alias\["prod"\].*?\+ function_version += "{before["live"]}"', planned, re.DOTALL)
        said = checkout.make("deploy")
        for output in (planned, said):
            assert f"prod replaces live, and keeps its version, {before['live']}." in output
            assert f"live, with version {before['live']}, is no longer in config.tf." in output
            assert f"The deployment deletes its URL, {live}," in output
        version = before.pop("live")
        assert versions(checkout) == before | {"prod": version}
        assert f"Pinned prod to version {version}" in said
        assert (
            f'prod = {{ function_version = "{version}", gateway_deployment = "' in (checkout.path / CONFIG).read_text()
        )
        assert list(stage_urls(checkout)) == ["dev", "test", "staging", "prod"]
        assert get(stage_urls(checkout)["prod"])[0] == 200
        assert get(live)[0] == 404
        assert (alarms(checkout, "live"), alarms(checkout, "prod")) == (0, 6)

    def test_removed_stage_is_deleted(self, checkout: Checkout) -> None:
        """Someone has deleted its alias by hand."""
        before, urls = versions(checkout), stage_urls(checkout)
        checkout.client("lambda").delete_alias(FunctionName=FUNCTION, Name="staging")
        self.edit(checkout, '    staging = { gateway_deployment = "1" }\n', "")
        said = checkout.make("local")
        assert f"staging, with version {before.pop('staging')}, is no longer in config.tf." in said
        assert versions(checkout) == before
        assert get(urls["staging"])[0] == 404
        assert alarms(checkout, "staging") == 0
        assert "No changes." in checkout.make("plan")
