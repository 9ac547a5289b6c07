"""The commands of the README and the docs, in the order in which a user runs them, in a separate checkout."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import documents
from tests.checkout import Checkout
from tests.conftest import ROOT, SPEED, get

COMMANDS = documents.commands(ROOT / "README.md")
SOURCE = Path("lambda/service/routes.py")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    # The README sets it with: export TARGET=local
    with Checkout(tmp_path_factory.mktemp("path") / "to live", TARGET="local") as checkout:
        yield checkout


@pytest.fixture(scope="module")
def local(checkout: Checkout) -> str:
    """Return the output of `make local`."""
    return checkout.make("local")


def pin(checkout: Checkout, stage: str, version: str) -> None:
    """Edit the pin of a stage as a user does."""
    config = checkout.path / ".local/terraform/config.tf"
    text, count = re.subn(rf'({stage} += \{{ function_version = )"\d+"', rf'\1"{version}"', config.read_text())
    assert count == 1
    config.write_text(text)


def test_readme_shows_the_two_commands_first() -> None:
    assert COMMANDS[:2] == ["make local", "make test"]


def test_readme_shows_only_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    others = documents.fork_commands()
    commands = [command for command in COMMANDS if not documents.is_setting(command) and command not in others]
    named = {word for command in commands for word in command.split()[1:] if "=" not in word}
    assert all(command.startswith("make ") for command in commands)
    assert named <= targets


@pytest.mark.endpoint
@pytest.mark.story
class TestDay:
    """A day's work. Each test continues the one before it. One class, so that one worker runs it."""

    def test_local_prints_a_table_of_three_stages(self, local: str) -> None:
        table = local[local.index("stage") :]
        assert re.findall(r"^\s*(dev|test|live)\s+1\s", table, re.MULTILINE) == ["dev", "test", "live"]

    def test_local_serves_a_greeting_and_the_commit_on_every_stage(self, checkout: Checkout, local: str) -> None:
        commit = checkout.git("log", "-1", "--format=%H", "--", "lambda")
        for stage, row in checkout.status().items():
            assert row["url"] in local
            assert get(row["url"]) == (200, "Hello, World!")
            info = json.loads(get(f"{row['url']}build-info")[1])
            assert info["long"] == commit
            assert info["function"] == {"name": "path-to-live", "version": "1", "alias": stage}
            assert info["stage"] == stage

    def test_local_prints_a_line_for_each_step(self, local: str) -> None:
        """Terraform's own output has hundreds of lines."""
        assert len(local.splitlines()) < 30

    def test_local_prints_its_speed_and_keeps_it(self, checkout: Checkout, local: str) -> None:
        assert f"{SPEED} times as fast as on AWS (SPEED=1 for AWS's pace)" in local
        done = checkout.run("make local SPEED=10")
        assert done.returncode != 0
        assert f"Local AWS is already running at speed {SPEED}. Stop it first with: make stop" in done.stderr

    def test_local_does_not_change_the_config_of_the_repository(self, checkout: Checkout, local: str) -> None:
        assert checkout.git("status", "--porcelain") == ""
        assert 'function_version = "1"' in (checkout.path / ".local/terraform/config.tf").read_text()

    def test_local_changes_nothing_after_a_change_of_the_docs(self, checkout: Checkout, local: str) -> None:
        (checkout.path / "docs/new.md").write_text("# New\n")
        checkout.commit("Write docs")
        # make says when it started, which is before it installed anything.
        said = checkout.make(f"local STARTED={int(time.time()) - 5000}")
        assert "No changes." in said
        assert re.search(r"Every stage answers after 5\d\d\d s", said)
        assert checkout.versions() == {"dev": "1", "test": "1", "live": "1"}

    def test_change_is_deployed_only_to_dev(self, checkout: Checkout, local: str) -> None:
        # The demonstration walks the same path with a provider of its own for each command.
        checkout.keep_provider()
        checkout.edit(SOURCE, '"Hello, World!"', '"Hello again, World!"')
        commit = checkout.commit("Change a line")
        checkout.make("build deploy")
        status = checkout.status()
        assert {stage: row["function_version"] for stage, row in status.items()} == {
            "dev": "2",
            "test": "1",
            "live": "1",
        }
        assert status["dev"]["revision"] == commit != status["test"]["revision"]
        assert json.loads(get(f"{status['dev']['url']}build-info")[1])["long"] == commit
        assert get(status["dev"]["url"]) == (200, "Hello again, World!")

    def test_change_is_promoted_to_test(self, checkout: Checkout) -> None:
        said = checkout.make("promote FROM=dev TO=test")
        assert '+    test = { function_version = "2", gateway_deployment = "1" }' in said
        assert len(said.splitlines()) < 20
        assert checkout.versions() == {"dev": "2", "test": "2", "live": "1"}

    def test_repeated_promotion_changes_nothing(self, checkout: Checkout) -> None:
        assert "No changes." in checkout.make("promote FROM=dev TO=test TARGET=local")

    def test_new_route_is_served_only_by_dev(self, checkout: Checkout) -> None:
        checkout.edit(SOURCE, '    "/": {"GET": hello},', '    "/": {"GET": hello},\n    "/ping": {"GET": hello},')
        checkout.edit("terraform/main.tf", '"ANY /build-info"', '"ANY /build-info", "ANY /ping"')
        checkout.commit("Add a route")
        said = checkout.make("build deploy TARGET=local")
        assert '+  gateway_deployments = ["1", "2"]' in said
        assert self.ping(checkout) == {"dev": 200, "test": 404, "live": 404}

    def test_new_route_is_promoted_with_the_version_and_without_undeployed_changes(self, checkout: Checkout) -> None:
        checkout.edit("terraform/main.tf", '"ANY /ping"', '"ANY /ping", "ANY /pong"')
        checkout.make("promote FROM=dev TO=test TARGET=local")
        checkout.edit("terraform/main.tf", ', "ANY /pong"', "")
        assert self.ping(checkout) == {"dev": 200, "test": 200, "live": 404}
        gateway = checkout.client("apigatewayv2")
        (api,) = gateway.get_apis()["Items"]
        routes = {route["RouteKey"] for route in gateway.get_routes(ApiId=api["ApiId"])["Items"]}
        assert routes == {"ANY /", "ANY /build-info", "ANY /ping"}
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_version_is_released_to_live_with_its_routes(self, checkout: Checkout) -> None:
        # A minute takes a second, so the new version needs a large share of the requests.
        with checkout.running("make load STAGE=live"):
            said = checkout.make("release STAGE=live STEPS=50")
        assert "Succeeded: Release completed." in said
        assert self.ping(checkout) == {"dev": 200, "test": 200, "live": 200}
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_log_has_only_the_requests_of_its_stage(self, checkout: Checkout) -> None:
        request = r"^\d\d:\d\d:\d\d  INFO     version 3  200  [\d.]+ ms  GET /ping$"
        assert re.search(request, checkout.make("logs STAGE=live TARGET=local"), re.MULTILINE)
        for stage in ("test", "live"):
            lines = checkout.make(f"--silent logs STAGE={stage} JSON=1 TARGET=local").splitlines()
            assert {json.loads(line)["stage"] for line in lines} == {stage}

    def test_stress_goes_past_the_throttle_of_dev(self, checkout: Checkout) -> None:
        gateway = checkout.client("apigatewayv2")
        (api,) = gateway.get_apis()["Items"]
        dev = {"ApiId": api["ApiId"], "StageName": "dev"}
        settings = gateway.get_stage(**dev)["DefaultRouteSettings"]
        limits = {"ThrottlingRateLimit": 50.0, "ThrottlingBurstLimit": 20}
        gateway.update_stage(**dev, DefaultRouteSettings=settings | limits)
        said = checkout.make("stress STAGE=dev", STEP_SECONDS="1")
        gateway.update_stage(**dev, DefaultRouteSettings=settings)
        assert "dev allows 50 requests per second, with a burst of 20." in said
        assert "requests past 50 per second. All other requests succeeded." in said

    def test_promotion_is_refused_while_an_alias_has_weights(self, checkout: Checkout) -> None:
        alias = {"FunctionName": "path-to-live", "Name": "test"}
        functions = checkout.client("lambda")
        functions.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}})
        status = checkout.status()["test"]
        said = " ".join(checkout.make("status TARGET=local").split())
        done = checkout.run("make promote FROM=test TO=live TARGET=local")
        other = checkout.run("make promote FROM=dev TO=test TARGET=local")
        functions.update_alias(**alias, RoutingConfig={"AdditionalVersionWeights": {}})
        assert status["weights"] == {"2": 0.1}
        error = (
            "The alias test has weights: version 2 has 10 % of the traffic. No release of test has set them. Remove "
            f"them with: aws --endpoint-url {checkout.endpoint} lambda update-alias "
        )
        assert error in said
        for refused in (done, other):
            assert refused.returncode != 0
            assert error in refused.stderr

    def test_stage_cannot_invoke_the_alias_of_another(self, checkout: Checkout) -> None:
        gateway = checkout.client("apigatewayv2")
        (api,) = gateway.get_apis()["Items"]
        url = checkout.status()["dev"]["url"]
        gateway.update_stage(ApiId=api["ApiId"], StageName="dev", StageVariables={"lambdaAlias": "live"})
        refused = get(url)
        gateway.update_stage(ApiId=api["ApiId"], StageName="dev", StageVariables={"lambdaAlias": "dev"})
        assert refused == (500, '{"message":"Internal Server Error"}')
        assert get(url) == (200, "Hello again, World!")

    def test_unknown_stage_is_refused(self, checkout: Checkout) -> None:
        for command in ("promote FROM=dev TO=prod", "promote FROM=prod TO=test", "deploy STAGE=prod"):
            done = checkout.run(f"make {command} TARGET=local")
            assert done.returncode != 0
            assert "config.tf has no stage 'prod'. Name one of: dev, test, live" in done.stderr

    def test_promotion_to_dev_is_refused(self, checkout: Checkout) -> None:
        done = checkout.run("make promote FROM=test TO=dev TARGET=local")
        assert done.returncode != 0
        assert "dev follows newest" in done.stderr

    def test_pin_to_a_version_that_does_not_exist_is_refused_and_moves_no_stage(self, checkout: Checkout) -> None:
        config = checkout.path / ".local/terraform/config.tf"
        before = config.read_text()
        config.write_text(re.sub(r'(live = \{ function_version = )"\d+"', r'\1"99"', before))
        deployed = checkout.run("make deploy STAGE=live TARGET=local")
        planned = checkout.run("make plan STAGE=live TARGET=local")
        stayed = checkout.make("plan TARGET=local")
        config.write_text(before)
        assert "live is pinned to version 99, which does not exist" in deployed.stderr
        assert "Stage live is pinned to version 99" in planned.stderr.replace("\n", " ")
        assert deployed.returncode != 0 != planned.returncode
        assert "No changes." in stayed
        assert "live differs from its pin in config.tf, and stays as it is" in stayed

    def test_private_copy_does_not_affect_the_service(self, checkout: Checkout) -> None:
        checkout.make("build deploy WORKSPACE=alice")
        names = {function["FunctionName"] for function in checkout.client("lambda").list_functions()["Functions"]}
        versions = {
            row["function_version"]
            for row in json.loads(checkout.make("-s status TARGET=local JSON=1", WORKSPACE="alice"))
        }
        assert names == {"path-to-live", "path-to-live-alice"}
        assert versions == {"1"}
        checkout.make("destroy WORKSPACE=alice")
        assert checkout.versions()["live"] == "3"

    def test_terraform_without_make_publishes_and_moves_a_stage_to_its_pin(self, checkout: Checkout) -> None:
        shell = documents.Shell(checkout, "docs/terraform.md")
        shell.succeed(next(command for command in shell.commands if "use_path_style" in command))
        checkout.edit(SOURCE, '"Hello again, World!"', '"Hello, World!"')
        checkout.commit("Change it back")
        shell.succeed("make build plan")
        pin(checkout, "test", "4")
        assert '"3" -> "4"' in shell.succeed("terraform -chdir=$dir plan")
        shell.succeed("terraform -chdir=$dir apply")
        assert checkout.versions() == {"dev": "4", "test": "4", "live": "3"}

    def test_terraform_without_make_undoes_a_release_that_is_not_recorded(self, checkout: Checkout) -> None:
        shell = documents.Shell(checkout, "docs/terraform.md")
        checkout.client("lambda").update_alias(FunctionName="path-to-live", Name="live", FunctionVersion="4")
        assert '"4" -> "3"' in shell.succeed("terraform -chdir=$dir plan")
        assert "Recorded version 4 for live" in shell.succeed("make record STAGE=live")
        shell.succeed("terraform -chdir=$dir apply -refresh-only")

    def test_terraform_without_make_prefers_pins_to_config(self, checkout: Checkout) -> None:
        shell = documents.Shell(checkout, "docs/terraform.md")
        said = shell.succeed(next(command for command in shell.commands if "-var='pins=" in command))
        assert '"4" -> "1"' in said
        for command in shell.commands:
            if "workspace" in command:
                shell.succeed(command)

    def test_release_to_the_active_version_is_refused_with_any_options(self, checkout: Checkout) -> None:
        shell = documents.Shell(checkout, "docs/releases.md")
        releases = [command for command in shell.commands if command.startswith("make release STAGE=live ")]
        assert releases
        refusals = {
            " DO=": "No release of live is in progress",
            " VERSION=7": "Version 7 of path-to-live does not exist",
        }
        for command in releases:
            said = shell.run(command).stderr
            expected = next((text for part, text in refusals.items() if part in command), "live already runs version 4")
            assert expected in said, command
        (freeze,) = (command for command in shell.commands if command.startswith("make freeze "))
        frozen = shell.run(freeze)
        # The date of the document will pass.
        assert (
            " until 2026-12-27T08:00Z: no changes over Christmas. Releases" in frozen.stdout
            or "is not in the future" in frozen.stderr
        )
        checkout.make("unfreeze STAGE=live TARGET=local")

    def test_stage_moves_to_its_restored_pin(self, checkout: Checkout) -> None:
        pin(checkout, "live", "3")
        shell = documents.Shell(checkout, "docs/stages.md")
        shell.succeed("make deploy STAGE=live")
        assert "Terraform's state is not locked." in shell.succeed("make unlock")
        assert checkout.versions()["live"] == "3"

    @pytest.mark.parametrize("document", ["docs/releases.md", "docs/runbook.md"])
    def test_documents_show_requests_that_aws_accepts(self, checkout: Checkout, document: str) -> None:
        shell = documents.Shell(checkout, document)
        for command in shell.commands:
            if command.startswith("aws "):
                shell.succeed(command)

    def test_runbook_starts_with_the_stages_and_their_releases(self, checkout: Checkout) -> None:
        shell = documents.Shell(checkout, "docs/runbook.md")
        assert re.search(r"live +3 ", shell.succeed("make status"))
        assert re.search(r"release +1 +3", shell.succeed("make history STAGE=$stage"))
        assert "GET /ping" in shell.succeed("make logs STAGE=$stage")

    def test_local_aws_serves_other_projects(self, checkout: Checkout) -> None:
        """The stack of this project represents another project."""
        shell = documents.Shell(checkout, "emulator/README.md", ".local/terraform")
        for command in shell.commands:
            if command not in documents.NOT_RUN:
                shell.succeed(command)
        (script,) = re.findall(r"^```python\n(import boto3\n.*?)^```", shell.text, re.MULTILINE | re.DOTALL)
        assert (
            checkout.execute(sys.executable, "-c", script.replace(":4566", f":{checkout.port}")).stdout
            == "000000000000\n"
        )

    def test_live_rolls_back_to_its_previous_version(self, checkout: Checkout) -> None:
        assert "All traffic of live goes to version 1" in checkout.make("rollback STAGE=live")
        assert checkout.versions()["live"] == "1"
        history = checkout.make("history STAGE=live")
        assert re.findall(r"(rollback|release) +(\d) +(\d)", history) == [("rollback", "3", "1"), ("release", "1", "3")]

    def test_destroy_leaves_nothing(self, checkout: Checkout) -> None:
        checkout.make("destroy TARGET=local")
        assert checkout.client("lambda").list_functions()["Functions"] == []
        assert checkout.client("apigatewayv2").get_apis()["Items"] == []
        assert checkout.client("iam").list_roles()["Roles"] == []
        assert checkout.client("logs").describe_log_groups()["logGroups"] == []
        assert checkout.client("s3").list_buckets()["Buckets"] == []
        alarms = checkout.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        assert (alarms["MetricAlarms"], alarms["CompositeAlarms"]) == ([], [])
        assert checkout.client("cloudwatch").list_dashboards()["DashboardEntries"] == []
        assert checkout.client("events").list_rules()["Rules"] == []
        assert checkout.client("sns").list_topics()["Topics"] == []
        assert checkout.client("stepfunctions").list_state_machines()["stateMachines"] == []
        kms = checkout.client("kms")
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] for key in kms.list_keys()["Keys"]]
        # AWS deletes a key only after a waiting period.
        assert set(keys) <= {"PendingDeletion"}

    def test_stop_can_be_repeated(self, checkout: Checkout) -> None:
        assert "is stopped" in checkout.make("stop")
        assert "Local AWS is not running" in checkout.make("stop")
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(checkout.port))) != 0

    def test_commands_print_how_to_start_local_aws(self, checkout: Checkout) -> None:
        done = checkout.run("make status")
        assert done.returncode != 0
        assert "Local AWS is not running. Start it with: make local" in done.stderr

    def test_every_command_of_the_documents_was_run(self, checkout: Checkout) -> None:
        """Compare the exact commands, except for those that test_bootstrap.py and test_fork.py run."""
        ran = {command.removesuffix(" TARGET=local") for command in checkout.ran}
        expected = {command.removesuffix(" TARGET=local") for command in documents.all_commands()}
        assert expected - documents.bootstrap_commands() - set(documents.fork_commands()) - ran == set()

    @staticmethod
    def ping(checkout: Checkout) -> dict[str, int]:
        return {stage: get(f"{row['url']}ping")[0] for stage, row in checkout.status().items()}
