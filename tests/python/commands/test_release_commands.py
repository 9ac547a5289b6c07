"""Releases with the commands of a user: some succeed, some fail, and some continue unattended."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests import processes
from tests.checkout import Checkout
from tests.conftest import REGION, ROOT, get
from tests.waiting import eventually

SOURCE = Path("lambda/service/routes.py")
CONFIG = Path(".local/terraform/config.tf")
GREETING = 'return text_response("Hello, World!")'
# The lines of docs/releases.md. make deploy verifies that dev answers.
(BAD_LINES,) = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "releases.md").read_text(), re.DOTALL)
FAILS_UNDER_LOAD = f"{BAD_LINES.strip()}\n    {GREETING}"
FAILS_SMOKE_TEST = f'if not request.invocation.alias:\n        raise RuntimeError("oh")\n    {GREETING}'
BAD, BROKEN, ABSENT = "3", "4", "99"
SHORT, LONG = ["--step-seconds", "60", "--bake-seconds", "60"], ["--step-seconds", "3000"]
PROMOTION = ("promote", "--from", "test", "--to", "live", "--reason", "to test the commands")
UNRELATED = ["--ignore-alarms-reason", "they fire because of version 3"]
# For a version that was rolled back before.
AGAIN = [*UNRELATED, "--reason", "to test the commands"]

LOCK = {"Bucket": f"path-to-live-state-000000000000-{REGION}", "Key": "path-to-live.tfstate.tflock"}
# https://developer.hashicorp.com/terraform/language/backend/s3#state-locking
HELD = {
    "ID": "6a1e4fc5-0a5e-8f3c-54a0-36a6bdb8b0b5",
    "Operation": "OperationTypeApply",
    "Info": "",
    "Who": "somebody@else",
    "Version": "1.11.4",
    "Created": "2026-11-28T09:12:01.123456789Z",
    "Path": f"path-to-live-state-000000000000-{REGION}/path-to-live.tfstate",
}
EDIT = "# Written during a release.\n"
pytestmark = pytest.mark.endpoint


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a checkout in which dev runs version 2, which has one more route than version 1 of the other stages."""
    with Checkout(tmp_path_factory.mktemp("releases") / "checkout") as checkout:
        checkout.keep_provider()
        checkout.make("local")
        checkout.edit(SOURCE, '    "/": {"GET": hello},', '    "/": {"GET": hello},\n    "/ping": {"GET": hello},')
        checkout.edit("terraform/main.tf", '"ANY /build-info"', '"ANY /build-info", "ANY /ping"')
        deploy(checkout, GREETING, f'{GREETING}  # "changed"')
        yield checkout


def deploy(checkout: Checkout, old: str, new: str) -> None:
    checkout.edit(SOURCE, old, new)
    checkout.commit("Change the greeting")
    checkout.make("build deploy TARGET=local")


def history(checkout: Checkout, stage: str = "live") -> list[dict[str, Any]]:
    past: list[dict[str, Any]] = json.loads(checkout.make(f"--silent history STAGE={stage} TARGET=local JSON=1"))
    return past


def script(checkout: Checkout, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script directly, because make replaces its exit status."""
    return checkout.execute(sys.executable, f"scripts/{name}.py", *arguments, TARGET="local")


def release(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script(checkout, "release", "--stage", "live", *arguments)


def pinned(checkout: Checkout) -> str | None:
    match = re.search(r'live = \{ function_version = "(\d+)"', (checkout.path / CONFIG).read_text())
    return match and match[1]


def alias(checkout: Checkout, stage: str = "live") -> tuple[str, dict[str, float]]:
    answer = checkout.client("lambda").get_alias(FunctionName="path-to-live", Name=stage)
    return answer["FunctionVersion"], answer.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def interrupted(checkout: Checkout, stage: str, kind: str, version: str) -> None:
    """Shift all traffic as a command does that is interrupted before it records the version."""
    checkout.client("stepfunctions").start_execution(
        stateMachineArn=checkout.state_machine(stage),
        name=f"{stage}-{kind}-{version}-20261124T120000Z-1a2b",
        input=json.dumps({"version": version, "steps": [], "smoke_test": kind != "rollback"}),
    )
    eventually(lambda: alias(checkout, stage) == (version, {}), 60)


def weights_left(checkout: Checkout, version: str) -> str:
    """Abort a release at its first step, lose the event that starts its rollback, and return its name."""
    rule, name = (
        {"Name": "path-to-live-live-rollback"},
        f"live-release-{version}-20261124T120000Z-{secrets.token_hex(2)}",
    )
    events, machine = checkout.client("events"), checkout.client("stepfunctions")
    assert events.describe_rule(**rule)["State"] == "ENABLED"
    events.disable_rule(**rule)
    given = {
        "version": version,
        "steps": [0.1],
        "step_seconds": 6000,
        "ignore_alarms_reason": "a test",
        "ignore_rejection_reason": "a test",
    }
    arn = machine.start_execution(stateMachineArn=checkout.state_machine("live"), name=name, input=json.dumps(given))[
        "executionArn"
    ]
    eventually(lambda: alias(checkout)[1] == {version: 0.1}, 60)
    machine.stop_execution(executionArn=arn, cause="aborted by a@b")
    eventually(lambda: machine.describe_execution(executionArn=arn)["status"] == "ABORTED")
    events.enable_rule(**rule)
    return name


@contextlib.contextmanager
def load(checkout: Checkout) -> Iterator[None]:
    """Send enough requests to live for the analysis of a release."""
    url, ended = checkout.status()["live"]["url"], threading.Event()

    def send() -> None:
        while not ended.is_set():
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(url, timeout=30).close()
            time.sleep(0.01)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def edited_during_a_release(checkout: Checkout) -> Iterator[None]:
    """Edit config.tf as soon as the alias has weights, as a person does in an editor."""

    def edit() -> None:
        eventually(lambda: alias(checkout)[1] != {})
        with (checkout.path / CONFIG).open("a") as config:
            config.write(EDIT)

    editor = threading.Thread(target=edit)
    editor.start()
    try:
        yield
    finally:
        editor.join()


class Terminal:
    """A terminal in which a command runs, and its output. As a context manager, it ends the command."""

    def __init__(
        self, checkout: Checkout, *arguments: str, command: Sequence[str] = ("release", "--stage", "live")
    ) -> None:
        self.screen, inner = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, f"scripts/{command[0]}.py", *command[1:], *arguments],
            cwd=checkout.path,
            env=checkout.environment | {"TARGET": "local", "TERM": "xterm", "COLUMNS": "200"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        processes.interrupt(self.process)
        os.close(self.screen)

    def wait_for(self, text: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(1), self.shown

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def end(self) -> int:
        while self._read(60):
            pass
        return self.process.wait(timeout=60)

    def _read(self, seconds: float) -> bool:
        """Read the available output, and return False if the command has ended."""
        if select.select([self.screen], [], [], seconds)[0]:
            try:
                found = os.read(self.screen, 65536)
            except OSError:
                return False
            self.shown += found.decode(errors="replace")
            return bool(found)
        return True


@pytest.mark.story
class TestReleases:
    """Each test continues the one before it."""

    def test_history_is_empty_at_first(self, checkout: Checkout) -> None:
        assert "live has no releases, promotions, or rollbacks." in checkout.make("history STAGE=live TARGET=local")
        assert history(checkout) == []

    def test_rollback_needs_a_previous_version(self, checkout: Checkout) -> None:
        done = script(checkout, "rollback", "--stage", "live")
        assert done.returncode == 2
        assert "The history of live has no version before version 1" in done.stderr

    def test_promotion_is_in_the_history(self, checkout: Checkout) -> None:
        checkout.make("promote FROM=dev TO=test TARGET=local")
        (made,) = history(checkout, "test")
        assert (made["kind"], made["from"], made["to"], made["outcome"]) == ("promote", "1", "2", "succeeded")
        assert re.fullmatch(r"test-promote-2-\d{8}T\d{6}Z-[0-9a-f]{4}", made["name"])
        assert history(checkout) == []

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--stage", "dev"], "dev follows newest"),
            (["--stage", "prod"], "config.tf has no stage 'prod'. Name one of: dev, test, live"),
            (["--version", ABSENT], f"Version {ABSENT} of path-to-live does not exist"),
            (["--version", "1"], "live already runs version 1"),
            (["--steps", "50,10"], "is not a list of increasing percentages"),
            (["--step-seconds", "0"], "step_seconds must be a multiple of 60"),
        ],
    )
    def test_invalid_release_is_refused_before_traffic_is_shifted(
        self, checkout: Checkout, arguments: list[str], reason: str
    ) -> None:
        before = (checkout.path / CONFIG).read_text()
        done = release(checkout, *arguments)
        assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
        assert (checkout.path / CONFIG).read_text() == before
        assert alias(checkout) == ("1", {})

    def test_weights_without_a_release_are_refused(self, checkout: Checkout) -> None:
        given, before = {"FunctionName": "path-to-live", "Name": "live"}, history(checkout)
        functions = checkout.client("lambda")
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}})
        refused = [release(checkout), script(checkout, "rollback", "--stage", "live")]
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {}})
        for done in refused:
            assert done.returncode == 2
            assert "No release of live has set them. Remove them with: aws --endpoint-url" in done.stderr
            assert "--routing-config AdditionalVersionWeights={}" in done.stderr
        assert history(checkout) == before

    def test_good_version_is_released_and_recorded(self, checkout: Checkout) -> None:
        with load(checkout), edited_during_a_release(checkout):
            done = release(
                checkout,
                *("--steps", "30,50", "--step-seconds", "180", "--bake-seconds", "60", "--max-p99-ms", "30000"),
            )
        assert done.returncode == 0, done.stdout + done.stderr
        assert EDIT in (checkout.path / CONFIG).read_text()
        assert "Release of live: from version 1 to version 2" in done.stdout
        assert "30 %, 50 %, then 100 %; 3 min per step, 60 s of bake" in done.stdout
        assert "routes   gateway deployment 2 instead of 1, after the release" in done.stdout
        of_both = r"0 of [\d,]+ invocations of version 2 failed; 0 of [\d,]+ invocations of version 1 failed"
        for step in ("step 2 of 2, 50 %", "bake, 100 %"):
            assert re.search(f"{step} to version 2: {of_both}", done.stdout)
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_routes_of_the_previous_stage_are_deployed(self, checkout: Checkout) -> None:
        assert get(f"{checkout.status()['live']['url']}ping") == (200, "Hello, World!")

    def test_release_is_in_the_history(self, checkout: Checkout) -> None:
        (refused, made) = history(checkout)[::-1]
        assert refused["outcome"] == "refused"
        assert (made["kind"], made["from"], made["to"], made["outcome"]) == ("release", "1", "2", "succeeded")
        assert made["seconds"] > 1
        assert made["metrics"]["errors"]["invocations"] > 0
        assert (made["odds"], refused["metrics"], refused["odds"]) == (1, None, None)
        assert re.search(
            r"release +1 +2 +\d+ s +released +Release completed\.",
            checkout.make("history STAGE=live TARGET=local", COLUMNS="120"),
        )

    def test_active_version_is_not_released_again(self, checkout: Checkout) -> None:
        done = release(checkout)
        assert done.returncode == 2
        assert "live already runs version 2" in done.stderr

    def test_release_without_traffic_prints_the_command_that_sends_some(self, checkout: Checkout) -> None:
        done = release(checkout, "--version", "1", *SHORT, "--max-extensions", "4")
        remedy = "In a second terminal, send requests with: make load STAGE=live TARGET=local"
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stdout.count(f"live has no traffic. {remedy}\n") == 1
        assert "Rolled back: Inconclusive: too few invocations of version 1: 0 at 10 % of the traffic" in done.stderr
        assert done.stderr.endswith(f"config.tf was not changed.\n{remedy}\n")

    def test_version_that_fails_under_load_is_rolled_back(self, checkout: Checkout) -> None:
        deploy(checkout, f'{GREETING}  # "changed"', FAILS_UNDER_LOAD)
        with load(checkout):
            done = release(checkout, "--version", BAD, "--step-seconds", "120", "--max-p99-ms", "30000")
        assert done.returncode == 1, done.stdout + done.stderr
        assert re.search(
            r"Rolled back: ([\d,]+ of [\d,]+ invocations of version 3 failed|The alarm path-to-live-live)", done.stderr
        )
        assert "All traffic goes to version 2. config.tf was not changed." in done.stderr
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert history(checkout)[0]["outcome"] == "rolled back"

    def test_interrupted_promotion_continues(self, checkout: Checkout) -> None:
        interrupted(checkout, "test", "promote", BAD)
        assert re.search(
            rf"Pinned test to version {BAD} in .*\ntest-promote-{BAD}-\S+ succeeded, and was not recorded\.",
            checkout.make("deploy TARGET=local"),
        )
        assert alias(checkout, "test") == (BAD, {})
        checkout.make("promote FROM=dev TO=test TARGET=local")
        assert checkout.status()["test"]["pinned_version"] == BAD
        assert [made["to"] for made in history(checkout, "test")] == [BAD, "2"]

    def test_version_that_fails_its_smoke_test_is_refused(self, checkout: Checkout) -> None:
        deploy(checkout, FAILS_UNDER_LOAD, FAILS_SMOKE_TEST)
        done = release(checkout, "--version", BROKEN, "--ignore-alarms-reason", "the alarm fires because of version 3")
        assert done.returncode == 2
        assert f"Smoke test of version {BROKEN} failed" in done.stderr
        before = (checkout.path / CONFIG).read_text()
        promoted = checkout.run("make promote FROM=dev TO=test TARGET=local")
        assert promoted.returncode != 0
        assert f"Smoke test of version {BROKEN} failed" in promoted.stderr
        assert (checkout.path / CONFIG).read_text() == before
        assert alias(checkout, "test") == (BAD, {})

    def test_rollback_soon_after_another_needs_a_version(self, checkout: Checkout) -> None:
        refused = script(checkout, "rollback", "--stage", "live")
        assert refused.returncode == 2
        said = r"live has been running version 2 again since [\d:]{8} \(live-release-3-\S+ rolled back to 2\)\."
        assert re.search(said, refused.stderr)
        assert "To roll back further, run: make rollback STAGE=live VERSION=1 TARGET=local" in refused.stderr
        assert alias(checkout) == ("2", {})

    def test_rollback_returns_to_a_named_version_and_records_it_later(self, checkout: Checkout) -> None:
        said = checkout.make("rollback STAGE=live VERSION=1 TARGET=local")
        # Recording takes longer than the rollback itself.
        assert said.index("All traffic of live goes to version 1") < said.index("Refresh Terraform's state")
        assert (pinned(checkout), alias(checkout)) == ("1", ("1", {}))
        assert history(checkout)[0]["reason"] == "Rollback completed."
        assert script(checkout, "rollback", "--stage", "live").returncode == 2

    def test_rollback_returns_to_a_named_version_despite_undeployed_changes(self, checkout: Checkout) -> None:
        checkout.edit(SOURCE, GREETING, f"{GREETING}  # undeployed")
        checkout.make("build")
        checkout.make("rollback STAGE=live VERSION=2 TARGET=local")
        checkout.edit(SOURCE, f"{GREETING}  # undeployed", GREETING)
        checkout.make("build")
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert checkout.versions()["dev"] == BROKEN

    def test_rollback_shifts_traffic_even_if_config_cannot_be_read(self, checkout: Checkout) -> None:
        config = checkout.path / CONFIG
        before = config.read_text()
        config.write_text("locals {")
        done = script(checkout, "rollback", "--stage", "live", "--version", "1")
        config.write_text(before)
        assert done.returncode == 4
        assert (
            "live runs version 1, but config.tf does not record it: config.tf line 1 is not valid Terraform"
            in done.stderr
        )
        assert "Fix the cause, then run: make record STAGE=live TARGET=local" in done.stderr
        assert (pinned(checkout), alias(checkout)) == ("2", ("1", {}))
        checkout.make("rollback STAGE=live VERSION=2 TARGET=local")

    def test_interrupted_rollback_is_recorded_and_not_repeated(self, checkout: Checkout) -> None:
        interrupted(checkout, "live", "rollback", "1")
        assert pinned(checkout) == "2"
        assert "Recording it now. To roll back further, set VERSION." in checkout.make(
            "rollback STAGE=live TARGET=local"
        )
        assert (pinned(checkout), alias(checkout)) == ("1", ("1", {}))
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_unattended_release_continues(self, checkout: Checkout) -> None:
        # The release is on hold until there are enough invocations, so the next tests can take any time.
        settings = ["--on-inconclusive", "hold", "--max-extensions", "0", "--max-p99-ms", "30000", *SHORT, *AGAIN]
        with Terminal(checkout, "--version", "2", "--steps", "50", *settings) as terminal:
            terminal.wait_for("50 % to version 2")
            terminal.interrupt()
            terminal.wait_for("leave it running (Enter)? ")
            terminal.type("\n")
            assert terminal.end() == 3
        assert (
            "continues without this command. To follow it again, run: make release STAGE=live VERSION=2 TARGET=local"
            in terminal.shown
        )
        assert alias(checkout) == ("1", {"2": 0.5})

    def test_status_shows_the_release(self, checkout: Checkout) -> None:
        status = checkout.status()
        assert status["live"]["release"].startswith("live-release-2-")
        assert status["live"]["weights"] == {"2": 0.5}
        assert status["test"]["release"] is None

    def test_release_of_another_version_is_refused(self, checkout: Checkout) -> None:
        done = release(checkout, "--version", BAD)
        assert done.returncode == 2
        assert "Wait for it to finish, or abort it with: make rollback STAGE=live TARGET=local" in done.stderr

    def test_unrecorded_release_is_not_undone(self, checkout: Checkout) -> None:
        with load(checkout):
            eventually(lambda: alias(checkout) == ("2", {}), 60)
        said = checkout.make("plan TARGET=local")
        assert "live differs from its pin in config.tf, and stays as it is" in said
        assert re.search(r"live runs version 2 since .* \(live-release-2-", said)
        assert (pinned(checkout), alias(checkout)) == ("1", ("2", {}))

    def test_release_that_cannot_be_recorded_has_a_separate_exit_status(self, checkout: Checkout) -> None:
        checkout.client("s3").put_object(**LOCK, Body=json.dumps(HELD))
        checkout.settings["LOCK_TIMEOUT"] = "1s"
        done = release(checkout)
        del checkout.settings["LOCK_TIMEOUT"]
        assert done.returncode == 4
        assert (
            "live runs version 2, but Terraform's state does not record it: Terraform's state is locked: "
            "somebody@else runs 'terraform apply' since 2026-11-28 09:12:01. Wait for it to end" in done.stderr
        )
        assert "release the lock with: make unlock TARGET=local" in done.stderr
        assert "Fix the cause, then run: make record STAGE=live TARGET=local" in done.stderr
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))

    def test_lock_is_released_only_if_that_is_confirmed(self, checkout: Checkout) -> None:
        for confirmation in ("", " CONFIRM=another"):
            refused = checkout.run(f"make unlock TARGET=local{confirmation}")
            assert refused.returncode != 0
            assert "somebody@else runs 'terraform apply' since 2026-11-28 09:12:01." in refused.stdout
            assert f"make unlock CONFIRM={HELD['ID']} TARGET=local" in refused.stderr
        assert checkout.client("s3").get_object(**LOCK)
        assert "The lock is released." in checkout.make(f"unlock TARGET=local CONFIRM={HELD['ID']}")
        assert "Terraform's state is not locked." in checkout.make("unlock TARGET=local")

    def test_release_is_recorded_later(self, checkout: Checkout) -> None:
        assert "Recorded version 2 for live" in checkout.make("record STAGE=live TARGET=local")
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_release_can_be_aborted_in_the_terminal(self, checkout: Checkout) -> None:
        with Terminal(checkout, "--version", BAD, *LONG, *AGAIN) as terminal:
            terminal.wait_for(f"10 % to version {BAD}")
            terminal.interrupt()
            terminal.wait_for("leave it running (Enter)? ")
            terminal.type("a\n")
            assert terminal.end() == 1
        assert "Aborted: " in terminal.shown
        assert "All traffic goes to version 2. config.tf was not changed." in terminal.shown
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        made = history(checkout)[0]
        assert (made["from"], made["to"], made["outcome"]) == ("2", BAD, "aborted")
        assert "aborted by " in made["reason"]

    def test_rollback_aborts_a_release_in_progress(self, checkout: Checkout) -> None:
        log = checkout.path / ".local" / "release.log"
        with log.open("w") as output:
            watching = subprocess.Popen(
                [sys.executable, "scripts/release.py", "--stage", "live", "--version", BAD, *LONG, *AGAIN],
                cwd=checkout.path,
                env=checkout.environment | {"TARGET": "local"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            eventually(lambda: "step 1 of 2" in log.read_text(), 60, described=log.read_text)
        finally:
            processes.interrupt(watching, 60)
        assert watching.returncode == 3
        blocked = checkout.run("make promote FROM=dev TO=live TARGET=local")
        assert re.search(
            r"A release of live is in progress: live-release-3-\S+ \(version 3 has 10 % of the traffic\)\. Wait for it",
            blocked.stderr,
        )
        assert "All traffic of live goes to version 2" in checkout.make("rollback STAGE=live TARGET=local")
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert history(checkout)[0]["outcome"] == "aborted"

    def test_rollback_returns_the_traffic_of_a_release_whose_event_was_lost(self, checkout: Checkout) -> None:
        left = weights_left(checkout, BAD)
        remedy = f"{left} has set them, and ended without a rollback. Return all traffic to version 2 with: "
        remedy += "make rollback STAGE=live TARGET=local"
        assert remedy in checkout.make("status TARGET=local")
        assert remedy in checkout.run("make promote FROM=dev TO=live TARGET=local").stderr
        said = checkout.make("rollback STAGE=live TARGET=local")
        assert f"{left} ended without a rollback: version 3 has 10 % of the traffic. Starting its rollback ..." in said
        assert "All traffic of live goes to version 2" in said
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        made = history(checkout)[0]
        assert (made["name"], made["from"], made["to"], made["outcome"]) == (left, "2", BAD, "aborted")

    def test_traffic_that_returned_is_not_rolled_back_further_by_accident(self, checkout: Checkout) -> None:
        refused = script(checkout, "rollback", "--stage", "live")
        assert refused.returncode == 2
        assert re.search(
            r"live has been running version 2 again since \S+ \(live-release-3-\S+ aborted\)", refused.stderr
        )

    def test_rollback_to_another_version_first_removes_the_weights(self, checkout: Checkout) -> None:
        weights_left(checkout, BAD)
        checkout.make("rollback STAGE=live VERSION=1 TARGET=local")
        assert (pinned(checkout), alias(checkout)) == ("1", ("1", {}))
        assert [made["outcome"] for made in history(checkout)[:2]] == ["succeeded", "aborted"]
        checkout.make("rollback STAGE=live VERSION=2 TARGET=local")

    def test_deploy_does_not_change_the_alias_of_a_release(self, checkout: Checkout) -> None:
        given = {"FunctionName": "path-to-live", "Name": "live"}
        functions = checkout.client("lambda")
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})
        checkout.edit(CONFIG, 'live = { function_version = "2"', 'live = { function_version = "1"')
        done = checkout.run("make deploy STAGE=live TARGET=local")
        checkout.edit(CONFIG, 'live = { function_version = "1"', 'live = { function_version = "2"')
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {}})
        assert done.returncode != 0
        assert "The alias live has weights: version 1 has 10 % of the traffic. No release of live" in done.stderr
        assert alias(checkout) == ("2", {})

    def test_version_that_was_rolled_back_is_refused(self, checkout: Checkout) -> None:
        done = release(checkout, "--version", BAD, *UNRELATED)
        assert done.returncode == 2
        assert re.search(
            rf"Refused: Version {BAD} was rolled back from live at \S+ \(live-release-{BAD}-\S+\): ", done.stderr
        )
        assert "\nSet it with: REASON=...\nNothing was changed." in done.stderr
        assert alias(checkout) == ("2", {})

    def test_frozen_stage_refuses_all_but_rollbacks(self, checkout: Checkout) -> None:
        said = checkout.make("freeze STAGE=live UNTIL=2999-01-01T09:00+01:00 REASON=Christmas TARGET=local")
        assert re.search(r"live is frozen by \S+@\S+ until 2999-01-01T08:00Z: Christmas\. Releases", said)
        frozen = checkout.status()["live"]["frozen"]
        assert (frozen["until"], frozen["reason"]) == ("2999-01-01T08:00Z", "Christmas")
        done = release(checkout, "--version", BAD, *AGAIN)
        assert done.returncode == 2
        assert " until 2999-01-01T08:00Z: Christmas. To release nevertheless" in done.stderr
        assert "\nSet it with: IGNORE_FREEZE_REASON=...\n" in done.stderr
        promoted = checkout.run("make promote FROM=test TO=live TARGET=local")
        assert "The promotion to live was refused: live is frozen by " in promoted.stderr
        checkout.edit(CONFIG, 'live = { function_version = "2"', 'live = { function_version = "1"')
        deployed = checkout.run("make deploy STAGE=live TARGET=local")
        checkout.edit(CONFIG, 'live = { function_version = "1"', 'live = { function_version = "2"')
        assert "To end the freeze, run: make unfreeze STAGE=live TARGET=local" in deployed.stderr
        assert alias(checkout) == ("2", {})
        assert "No changes." in checkout.make("plan TARGET=local")
        checkout.make("rollback STAGE=live VERSION=1 TARGET=local")
        checkout.make("rollback STAGE=live VERSION=2 TARGET=local")
        assert alias(checkout) == ("2", {})

    def test_freeze_can_be_ignored_and_ended(self, checkout: Checkout) -> None:
        done = release(checkout, "--version", BAD, *AGAIN, *LONG, "--wait=false", "--ignore-freeze-reason", "urgent")
        assert (done.returncode, "continues without this command" in done.stdout) == (0, True), done.stderr
        assert release(checkout, "--do", "abort", "--reason", "no longer urgent").returncode == 0
        assert history(checkout)[0]["outcome"] == "aborted"
        assert "Releases and promotions are no longer refused." in checkout.make("unfreeze STAGE=live TARGET=local")
        assert "live is not frozen. No changes." in checkout.make("unfreeze STAGE=live TARGET=local")
        assert checkout.status()["live"]["frozen"] is None

    def test_release_is_approved_held_skipped_and_aborted(self, checkout: Checkout) -> None:
        for what in ("skip", "abort"):
            nothing = release(checkout, "--do", what, "--reason", "because")
            assert nothing.returncode == 2
            assert f"No release of live is in progress, so there is nothing to {what}." in nothing.stderr
        assert (
            "set REASON, as in: make release STAGE=live DO=skip REASON=..." in release(checkout, "--do", "skip").stderr
        )
        with Terminal(checkout, "--version", BAD, *LONG, *AGAIN, "--hold") as terminal:
            terminal.wait_for("Waiting for approval, ")
            terminal.wait_for("make release STAGE=live DO=resume REASON=... TARGET=local")
            assert alias(checkout) == ("2", {})
            said = release(checkout, "--do", "resume", "--reason", "approved")
            assert re.search(r"live-release-3-\S+ continues\. It reads this request within \d+ s\.", said.stdout)
            terminal.wait_for("step 1 of 2, 10 %")
            terminal.interrupt()
            terminal.wait_for("leave it running (Enter)? ")
            terminal.type("h\n")
            terminal.wait_for("Reason (required): ")
            terminal.type("to look at the dashboard\n")
            terminal.wait_for("On hold: step 1 of 2")
            release(checkout, "--do", "skip", "--reason", "seen enough")
            terminal.wait_for("step 2 of 2, 50 %")
            assert release(checkout, "--do", "abort", "--reason", "not today").returncode == 0
            assert terminal.end() == 1
        assert "Aborted: aborted by " in terminal.shown
        assert alias(checkout) == ("2", {})
        made = history(checkout)[0]
        assert made["outcome"] == "aborted"
        assert made["reason"].endswith(": not today")

    @pytest.mark.long
    def test_promotion_that_fails_in_its_bake_is_rolled_back(self, checkout: Checkout) -> None:
        assert checkout.versions()["test"] == BAD
        before = (checkout.path / CONFIG).read_text()
        with load(checkout):
            done = script(checkout, *PROMOTION, "--bake-seconds", "3000")
        assert done.returncode == 1, done.stdout + done.stderr
        assert "then shifting all traffic of live to it, and watching it for 50 min" in done.stdout
        assert "bake, 100 % to version 3: " in done.stdout
        assert re.search(
            r"The promotion to live did not succeed \(rolled back\): "
            r"([\d,]+ of [\d,]+ invocations of version 3 failed|The alarm path-to-live-live)",
            done.stderr,
        )
        assert done.stderr.endswith("live runs version 2. config.tf was not changed.\n")
        assert ((checkout.path / CONFIG).read_text(), alias(checkout)) == (before, ("2", {}))
        shown = checkout.make("history STAGE=live TARGET=local", COLUMNS="200")
        assert re.search(r"promote +2 +3 +\d+ s +rolled back to 2 ", shown)

    @pytest.mark.long
    def test_rollback_ends_a_promotion_in_its_bake(self, checkout: Checkout) -> None:
        checkout.make("rollback STAGE=live VERSION=1 TARGET=local")
        checkout.make("rollback STAGE=test VERSION=2 TARGET=local")
        # An alarm that fires, as that of version 3, rolls back a promotion in its bake.
        eventually(lambda: checkout.status()["live"]["alarms"] == [], 120)
        with Terminal(checkout, "--bake-seconds", "6000", command=PROMOTION) as terminal:
            terminal.wait_for("bake, 100 % to version 2")
            terminal.interrupt()
            terminal.wait_for("leave it running (Enter)? ")
            terminal.type("\n")
            assert terminal.end() == 3
        again = "make promote FROM=test TO=live BAKE_SECONDS=6000 TARGET=local"
        assert f"To follow it again, run: {again}" in terminal.shown
        assert alias(checkout) == ("1", {"2": 1.0})
        assert re.search(
            r"A promotion of live is in progress: live-promote-2-\S+ \(version 2 has 100 % of the traffic\)\. Wait",
            checkout.run("make promote FROM=dev TO=live TARGET=local").stderr,
        )
        assert "All traffic of live goes to version 1" in checkout.make("rollback STAGE=live TARGET=local")
        assert (pinned(checkout), alias(checkout)) == ("1", ("1", {}))
        assert [history(checkout)[0][name] for name in ("kind", "outcome")] == ["promote", "aborted"]

    @pytest.mark.long
    def test_interrupted_bake_is_continued_by_the_same_command(self, checkout: Checkout) -> None:
        baking = ["--bake-seconds", "900"]
        with Terminal(checkout, *baking, command=PROMOTION) as terminal:
            terminal.wait_for("bake, 100 % to version 2")
            terminal.interrupt()
            terminal.wait_for("leave it running (Enter)? ")
            terminal.type("\n")
            assert terminal.end() == 3
        with Terminal(checkout, *baking, command=PROMOTION) as terminal:
            terminal.wait_for("bake, 100 % to version 2")
            # Meanwhile, test gets another version.
            functions, moved = checkout.client("lambda"), {"FunctionName": "path-to-live", "Name": "test"}
            functions.update_alias(**moved, FunctionVersion=BAD)
            assert terminal.end() == 0
        functions.update_alias(**moved, FunctionVersion="2")
        checkout.make("record STAGE=test TARGET=local")
        completed = "Promotion completed. 0 of 0 invocations of version 2 failed with all traffic."
        assert f"Succeeded: {completed}" in terminal.shown
        assert "live has no traffic. In a second terminal, send requests with: make load" in terminal.shown
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert "No changes." in checkout.make("plan TARGET=local")
        assert [made["outcome"] for made in history(checkout)[:2]] == ["succeeded", "aborted"]

    @pytest.mark.long
    def test_bake_of_less_than_a_minute_is_refused(self, checkout: Checkout) -> None:
        done = script(checkout, "promote", "--from", "dev", "--to", "test", "--bake-seconds", "30")
        assert done.returncode == 2
        assert "bake_seconds must be 0 or a multiple of 60" in done.stderr

    @pytest.mark.long
    def test_release_ends_with_local_aws(self, checkout: Checkout) -> None:
        with Terminal(checkout, "--version", BAD, *LONG, *AGAIN) as terminal:
            terminal.wait_for(f"10 % to version {BAD}")
            checkout.make("stop")
            assert terminal.end() == 1
        assert "Local AWS ended while this command was in progress, and its state is lost." in terminal.shown
        assert re.search(rf"live-release-{BAD}-\S+ ended with it\.", terminal.shown)
