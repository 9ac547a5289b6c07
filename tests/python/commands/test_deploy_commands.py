"""A deployment moves only the intended stages, even if config.tf is outdated, and publishes its artifact."""

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
OLDER = {"live": '{ function_version = "1", gateway_deployment = "1" }', "test": '{ gateway_deployment = "1" }'}

pytestmark = pytest.mark.endpoint


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a checkout in which every stage runs version 2, which has one more route than version 1."""
    with Checkout(tmp_path_factory.mktemp("deploys") / "checkout") as checkout:
        checkout.make("local", **OTHERS_SETTINGS)
        checkout.keep_provider()
        checkout.edit(SOURCE, '    "/": {"GET": hello},', '    "/": {"GET": hello},\n    "/ping": {"GET": hello},')
        checkout.edit("terraform/main.tf", '"ANY /build-info"', '"ANY /build-info", "ANY /ping"')
        change(checkout, "Hello, World!", "Hello 2")
        checkout.make("build deploy TARGET=local")
        checkout.make("promote FROM=dev TO=test TARGET=local")
        checkout.make("promote FROM=test TO=live TARGET=local")
        yield checkout


@pytest.fixture
def recorded(checkout: Checkout) -> Iterator[str]:
    """Yield config.tf with all versions recorded, and restore it after the test."""
    text = (checkout.path / CONFIG).read_text()
    yield text
    (checkout.path / CONFIG).write_text(text)


def change(checkout: Checkout, old: str, new: str) -> None:
    checkout.edit(SOURCE, f'"{old}"', f'"{new}"')
    checkout.commit(f"Say {new}")


def put_older_config(checkout: Checkout) -> None:
    """Restore a config.tf from before the promotions: live is pinned to its previous version, test is not pinned."""
    text = (checkout.path / CONFIG).read_text()
    for stage, pin in OLDER.items():
        text = re.sub(rf"{stage} = .*", f"{stage} = {pin}", text)
    text = re.sub(r"gateway_deployments = .*", 'gateway_deployments = ["1"]', text)
    (checkout.path / CONFIG).write_text(text)


def interrupt(checkout: Checkout, **attributes: Any) -> None:
    """Mark the function as changed in Terraform's state, as an interrupted deployment does."""
    s3 = checkout.client("s3")
    state = json.loads(s3.get_object(Bucket=BUCKET, Key=STATE)["Body"].read())
    (function,) = (resource for resource in state["resources"] if resource["type"] == "aws_lambda_function")
    function["instances"][0]["attributes"] |= attributes
    s3.put_object(Bucket=BUCKET, Key=STATE, Body=json.dumps(state))


def artifact(checkout: Checkout) -> tuple[bytes, str]:
    """Return the artifact and its hash in Lambda's format."""
    content = (checkout.path / "dist" / "lambda.zip").read_bytes()
    return content, base64.b64encode(hashlib.sha256(content).digest()).decode()


def alias(checkout: Checkout, stage: str) -> str:
    version: str = checkout.client("lambda").get_alias(FunctionName="path-to-live", Name=stage)["FunctionVersion"]
    return version


def answers(checkout: Checkout, path: str = "") -> dict[str, Any]:
    return {stage: get(f"{row['url']}{path}")[1] for stage, row in checkout.status().items()}


def everything(checkout: Checkout) -> dict[str, Any]:
    """Return the state that a read-only command must not change: the target's files, buckets, objects, and aliases."""
    directory, s3 = checkout.path / ".local", checkout.client("s3")
    files = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if "local-aws" not in path.parts}
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    objects = {item["Key"]: item["ETag"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    return {"files": files, "buckets": buckets, "objects": objects, "live": alias(checkout, "live")}


READ = ["status", "history STAGE=live"]


@pytest.mark.story
class TestStagesStay:
    """Each test continues the one before it. Run the whole class."""

    def test_settings_for_aws_do_not_reach_local_aws(self, checkout: Checkout) -> None:
        assert [bucket["Name"] for bucket in checkout.client("s3").list_buckets()["Buckets"]] == [BUCKET]
        assert answers(checkout, "ping") == dict.fromkeys(("dev", "test", "live"), "Hello 2")

    @pytest.mark.parametrize("command", READ)
    def test_commands_that_read_write_nothing(self, checkout: Checkout, command: str) -> None:
        before = everything(checkout)
        same = checkout.make(f"{command} TARGET=local")
        for settings in (OTHERS_SETTINGS, {"AWS_REGION": "eu-west-1", REATTACH: ""}):
            assert checkout.make(f"{command} TARGET=local", **settings) == same
        assert everything(checkout) == before

    def test_outdated_config_moves_no_stage(self, checkout: Checkout, recorded: str) -> None:
        put_older_config(checkout)
        older = (checkout.path / CONFIG).read_text()
        change(checkout, "Hello 2", "Hello 3")
        planned = checkout.make("build plan TARGET=local", **OTHERS_SETTINGS)
        assert (checkout.path / CONFIG).read_text() == older
        deployed = checkout.make("deploy TARGET=local", **OTHERS_SETTINGS)
        assert [alias(checkout, stage) for stage in ("dev", "test", "live")] == ["3", "2", "2"]
        assert answers(checkout, "ping") == {"dev": "Hello 3", "test": "Hello 2", "live": "Hello 2"}
        for said in (planned, deployed):
            assert "live differs from its pin in config.tf, and stays as it is" in said
            assert re.search(r"live runs version 2 since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(live-promote-2-", said)
            assert "make record STAGE=live TARGET=local" in said
            assert "make deploy STAGE=live TARGET=local" in said
        assert re.search(r"Pinned test to version 2 .*\n.*test runs version 2 since .* \(test-promote-2-", deployed)

    def test_promotion_of_another_stage_moves_no_other_stage(self, checkout: Checkout, recorded: str) -> None:
        put_older_config(checkout)
        checkout.make("promote FROM=dev TO=test TARGET=local")
        assert [alias(checkout, stage) for stage in ("dev", "test", "live")] == ["3", "3", "2"]
        assert answers(checkout, "ping")["live"] == "Hello 2"

    def test_active_versions_can_be_recorded(self, checkout: Checkout) -> None:
        put_older_config(checkout)
        assert "Recorded version 2 for live in config.tf" in checkout.make("record STAGE=live TARGET=local")
        text = (checkout.path / CONFIG).read_text()
        assert 'live = { function_version = "2", gateway_deployment = "2" }' in text
        assert "config.tf already records version" in checkout.make("record STAGE=live TARGET=local")
        assert (checkout.path / CONFIG).read_text() == text

    def test_named_stage_moves_to_its_pin(self, checkout: Checkout) -> None:
        put_older_config(checkout)
        said = checkout.make("deploy STAGE=live TARGET=local")
        assert "differs from its pin in config.tf" not in said
        assert [alias(checkout, stage) for stage in ("dev", "test", "live")] == ["3", "3", "1"]
        assert json.loads(answers(checkout, "ping")["live"]) == {"message": "Not Found"}

    def test_deleted_working_copy_moves_no_stage(self, checkout: Checkout) -> None:
        shutil.rmtree(checkout.path / LOCAL)
        before = everything(checkout)
        said = checkout.make("status TARGET=local", **OTHERS_SETTINGS)
        shown = dict(re.findall(r"^(dev|test|live) +(\d) ", said, re.MULTILINE))
        assert shown == {"dev": "3", "test": "3", "live": "1"}
        assert everything(checkout) == before
        assert "Pinned live to version 1" in checkout.make("deploy TARGET=local")
        assert [alias(checkout, stage) for stage in ("dev", "test", "live")] == ["3", "3", "1"]

    def test_code_that_an_interrupted_deployment_did_not_update_is_published(self, checkout: Checkout) -> None:
        change(checkout, "Hello 3", "Hello 4")
        checkout.make("build")
        interrupt(checkout, source_code_hash=artifact(checkout)[1])
        assert "version 3, the newest, does not have the code of the artifact" in checkout.make("plan TARGET=local")
        assert "Published version 4" in checkout.make("deploy TARGET=local")
        assert answers(checkout)["dev"] == "Hello 4"
        assert [alias(checkout, stage) for stage in ("dev", "test", "live")] == ["4", "3", "1"]

    def test_update_that_an_interrupted_deployment_did_not_publish_is_published(self, checkout: Checkout) -> None:
        functions = checkout.client("lambda")
        functions.update_function_configuration(FunctionName="path-to-live", MemorySize=256)
        interrupt(checkout, memory_size=256)
        checkout.edit("terraform/variables.tf", "optional(number, 128)", "optional(number, 256)")
        assert "differs from the function in MemorySize" in checkout.make("plan TARGET=local")
        change(checkout, "Hello 4", "Hello 5")
        checkout.make("build")
        content, sha256 = artifact(checkout)
        functions.update_function_code(FunctionName="path-to-live", ZipFile=content)
        interrupt(checkout, source_code_hash=sha256)
        assert "Published version 5" in checkout.make("deploy TARGET=local")
        assert answers(checkout)["dev"] == "Hello 5"
        newest = functions.get_function_configuration(FunctionName="path-to-live", Qualifier="5")
        assert (newest["CodeSha256"], newest["MemorySize"]) == (sha256, 256)
        assert "No changes." in checkout.make("deploy TARGET=local")
        assert alias(checkout, "dev") == "5"


def versions(checkout: Checkout) -> dict[str, str]:
    """Return the version of each alias."""
    aliases = checkout.client("lambda").list_aliases(FunctionName="path-to-live")["Aliases"]
    return {alias["Name"]: alias["FunctionVersion"] for alias in aliases}


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
        said = checkout.make("build deploy TARGET=local")
        assert "staging is new, and starts with the newest version." in said
        newest = str(int(before["dev"]) + 1)
        assert versions(checkout) == before | {"dev": newest, "staging": newest}
        assert f"Pinned staging to version {newest}" in said
        assert list(checkout.status()) == ["dev", "test", "staging", "live"]
        assert get(stage_urls(checkout)["staging"])[0] == 200
        assert alarms(checkout, "staging") == alarms(checkout, "live") == 5

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
        refused = checkout.run("make deploy TARGET=local")
        self.edit(checkout, "    qa = {", "    test = {")
        assert refused.returncode != 0
        assert "config.tf adds qa, prod without a version, and no longer has live, test." in refused.stderr
        assert "Change one stage at a time, and after each change, run: make deploy TARGET=local" in refused.stderr
        assert versions(checkout) == before

    def test_stage_is_not_renamed_during_a_release(self, checkout: Checkout) -> None:
        alias = {"FunctionName": "path-to-live", "Name": "live"}
        functions, before = checkout.client("lambda"), versions(checkout)
        functions.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {before["dev"]: 0.1}})
        refused = checkout.run("make deploy TARGET=local")
        functions.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {}})
        assert refused.returncode != 0
        assert "The alias live has weights" in refused.stderr
        assert "First, put live back into config.tf." in refused.stderr
        assert versions(checkout) == before

    def test_renamed_stage_keeps_its_version(self, checkout: Checkout) -> None:
        before, live = versions(checkout), stage_urls(checkout)["dev"].replace("/dev/", "/live/")
        assert before["live"] != before["dev"]
        assert get(live)[0] == 200
        status = checkout.make("status TARGET=local")
        assert "prod is not deployed. Deploy it with: make build deploy TARGET=local" in status
        assert "live is no longer in config.tf. The next deployment deletes it." in status
        planned = checkout.make("plan TARGET=local")
        assert re.search(rf'module\.alias\["prod"\].*?\+ function_version += "{before["live"]}"', planned, re.DOTALL)
        said = checkout.make("deploy TARGET=local")
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
        assert (alarms(checkout, "live"), alarms(checkout, "prod")) == (0, 5)

    def test_removed_stage_is_deleted(self, checkout: Checkout) -> None:
        """Someone has deleted its alias by hand."""
        before, urls = versions(checkout), stage_urls(checkout)
        checkout.client("lambda").delete_alias(FunctionName="path-to-live", Name="staging")
        self.edit(checkout, '    staging = { gateway_deployment = "1" }\n', "")
        said = checkout.make("local")
        assert f"staging, with version {before.pop('staging')}, is no longer in config.tf." in said
        assert versions(checkout) == before
        assert get(urls["staging"])[0] == 404
        assert alarms(checkout, "staging") == 0
        assert "No changes." in checkout.make("plan TARGET=local")
