"""Releases as a person makes them, in a checkout of its own: good ones, bad ones, and ones that nobody watches."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests import processes
from tests.checkout import Checkout
from tests.conftest import get
from tests.waiting import eventually

SOURCE = Path("lambda/service/routes.py")
CONFIG = Path(".local/terraform/config.tf")
GREETING = 'return text_response("Hello, World!")'
# dev is seen to answer when it is deployed; a release calls the version directly, not by an alias.
FAILS_UNDER_LOAD = f'if request.invocation.alias == "live":\n        raise RuntimeError("oh")\n    {GREETING}'
FAILS_AT_ONCE = f'if not request.invocation.alias:\n        raise RuntimeError("oh")\n    {GREETING}'
BAD, BROKEN, ABSENT = "3", "4", "99"
SHORT, LONG = ["--bake-seconds", "60"], ["--bake-seconds", "3000"]
UNRELATED = ["--ignore-alarms", "they ring for version 3"]

pytestmark = pytest.mark.endpoint


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Give a checkout in which dev runs version 2, which has a route more than version 1 of the other stages."""
    with Checkout(tmp_path_factory.mktemp("releases") / "checkout") as checkout:
        checkout.make("local")
        checkout.keep_provider()
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
    """Run a script itself: make ends with status 2 whatever its status was."""
    return checkout.execute(sys.executable, f"scripts/{name}.py", *arguments, TARGET="local")


def release(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script(checkout, "release", "--stage", "live", *arguments)


def pinned(checkout: Checkout) -> str | None:
    match = re.search(r'live = \{ function_version = "(\d+)"', (checkout.path / CONFIG).read_text())
    return match and match[1]


def alias(checkout: Checkout, stage: str = "live") -> tuple[str, dict[str, float]]:
    answer = checkout.client("lambda").get_alias(FunctionName="path-to-live", Name=stage)
    return answer["FunctionVersion"], answer.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def begin(checkout: Checkout, stage: str, kind: str, version: str) -> None:
    """Shift all traffic as a command does that is then interrupted, before anything is recorded."""
    machines = checkout.client("stepfunctions")
    (machine,) = machines.list_state_machines()["stateMachines"]
    machines.start_execution(
        stateMachineArn=machine["stateMachineArn"],
        name=f"{stage}-{kind}-{version}-20261124T120000Z-1a2b",
        input=json.dumps({"stage": stage, "version": version, "steps": []}),
    )
    eventually(lambda: alias(checkout, stage) == (version, {}), 60)


@contextlib.contextmanager
def load(checkout: Checkout) -> Iterator[None]:
    """Call live, as often as a release needs to judge."""
    url, ended = checkout.status()["live"]["url"], threading.Event()

    def call() -> None:
        while not ended.is_set():
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(url, timeout=30).close()
            time.sleep(0.01)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        ended.set()
        for caller in callers:
            caller.join()


class Terminal:
    """A terminal in which a release runs, and what it shows. It is a context manager, which ends the command."""

    def __init__(self, checkout: Checkout, *arguments: str) -> None:
        self.screen, inner = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "scripts/release.py", "--stage", "live", *arguments],
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
        """Read what is there; False where the other side has ended."""
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
    """One after the other; each rests on the ones before."""

    def test_there_is_no_history_before_the_first(self, checkout: Checkout) -> None:
        assert "live has had no release" in checkout.make("history STAGE=live TARGET=local")
        assert history(checkout) == []

    def test_there_is_nothing_to_go_back_to(self, checkout: Checkout) -> None:
        done = script(checkout, "rollback", "--stage", "live")
        assert done.returncode == 2
        assert "is not known: name it, as in VERSION=3" in done.stderr

    def test_a_promotion_is_in_the_history(self, checkout: Checkout) -> None:
        checkout.make("promote FROM=dev TO=test TARGET=local")
        (made,) = history(checkout, "test")
        assert (made["kind"], made["from"], made["to"], made["outcome"]) == ("promote", "1", "2", "released")
        assert re.fullmatch(r"test-promote-2-\d{8}T\d{6}Z-[0-9a-f]{4}", made["name"])
        assert history(checkout) == []

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--stage", "dev"], "dev follows the newest"),
            (["--stage", "prod"], "config.tf has no stage 'prod', but dev, test, live"),
            (["--version", ABSENT], f"There is no version {ABSENT} of path-to-live"),
            (["--version", "1"], "live runs version 1 already: nothing to release"),
            (["--steps", "50,10"], "does not grow"),
            (["--bake-seconds", "0"], "bake_seconds must be a whole number"),
        ],
    )
    def test_refused_before_anything_is_shifted(self, checkout: Checkout, arguments: list[str], reason: str) -> None:
        before = (checkout.path / CONFIG).read_text()
        done = release(checkout, *arguments)
        assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
        assert (checkout.path / CONFIG).read_text() == before
        assert alias(checkout) == ("1", {})

    def test_weights_of_nobodys_release_are_refused(self, checkout: Checkout) -> None:
        given = {"FunctionName": "path-to-live", "Name": "live"}
        functions = checkout.client("lambda")
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}})
        done = release(checkout)
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {}})
        assert done.returncode == 2
        assert "aws --endpoint-url" in done.stderr
        assert "--routing-config AdditionalVersionWeights={}" in done.stderr

    def test_a_good_version_is_released_and_recorded(self, checkout: Checkout) -> None:
        with load(checkout):
            done = release(checkout, "--bake-seconds", "120", "--max-p99-ms", "30000")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Release of live: from version 1 to version 2" in done.stdout
        assert "10 %, then 50 %, then all; 2 min each" in done.stdout
        assert "routes   2 instead of 1, once it is released" in done.stdout
        assert re.search(r"step 2 of 2, 50 % to version 2: \d+ calls, 0 failed \(0 %, at most 1 %\), p99", done.stdout)
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_the_routes_of_the_stage_before_came_with_it(self, checkout: Checkout) -> None:
        assert get(f"{checkout.status()['live']['url']}ping") == (200, "Hello, World!")

    def test_it_is_in_the_history(self, checkout: Checkout) -> None:
        (refused, made) = history(checkout)[::-1]
        assert refused["outcome"] == "refused"
        assert (made["kind"], made["from"], made["to"], made["outcome"]) == ("release", "1", "2", "released")
        assert made["seconds"] > 1
        assert re.search(
            r"release +1 +2 +\d+ s +released +Release completed\.", checkout.make("history STAGE=live TARGET=local")
        )

    def test_again_there_is_nothing_to_release(self, checkout: Checkout) -> None:
        done = release(checkout)
        assert done.returncode == 2
        assert "live runs version 2 already" in done.stderr

    def test_a_version_that_fails_under_load_is_rolled_back(self, checkout: Checkout) -> None:
        deploy(checkout, f'{GREETING}  # "changed"', FAILS_UNDER_LOAD)
        with load(checkout):
            done = release(checkout, "--version", BAD, "--bake-seconds", "120", "--max-p99-ms", "30000")
        assert done.returncode == 1, done.stdout + done.stderr
        assert re.search(r"Rolled back: (\d+ of \d+ invocations failed|The alarm path-to-live-live)", done.stderr)
        assert "All traffic goes to version 2, and config.tf is as it was" in done.stderr
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert history(checkout)[0]["outcome"] == "rolled back"

    def test_a_promotion_that_was_interrupted_goes_on(self, checkout: Checkout) -> None:
        begin(checkout, "test", "promote", BAD)
        said = checkout.make("deploy TARGET=local")
        assert "make record STAGE=test TARGET=local" in said
        assert re.search(rf"test runs version {BAD} since .* \(test-promote-{BAD}-", said)
        assert alias(checkout, "test") == (BAD, {})
        checkout.make("promote FROM=dev TO=test TARGET=local")
        assert checkout.status()["test"]["pinned_version"] == BAD
        assert [made["to"] for made in history(checkout, "test")] == [BAD, "2"]

    def test_a_version_that_fails_at_once_is_refused(self, checkout: Checkout) -> None:
        deploy(checkout, FAILS_UNDER_LOAD, FAILS_AT_ONCE)
        done = release(checkout, "--version", BROKEN, "--ignore-alarms", "what rang belongs to version 3")
        assert done.returncode == 2
        assert f"Version {BROKEN} fails" in done.stderr
        before = (checkout.path / CONFIG).read_text()
        promoted = checkout.run("make promote FROM=dev TO=test TARGET=local")
        assert promoted.returncode != 0
        assert f"Version {BROKEN} fails" in promoted.stderr
        assert (checkout.path / CONFIG).read_text() == before
        assert alias(checkout, "test") == (BAD, {})

    def test_roll_back_goes_to_what_ran_before(self, checkout: Checkout) -> None:
        checkout.make("rollback STAGE=live TARGET=local")
        assert (pinned(checkout), alias(checkout)) == ("1", ("1", {}))
        assert script(checkout, "rollback", "--stage", "live").returncode == 2

    def test_roll_back_goes_to_a_version_by_name_whatever_else_is_to_deploy(self, checkout: Checkout) -> None:
        checkout.edit(SOURCE, GREETING, f"{GREETING}  # undeployed")
        checkout.make("build")
        checkout.make("rollback STAGE=live VERSION=2 TARGET=local")
        checkout.edit(SOURCE, f"{GREETING}  # undeployed", GREETING)
        checkout.make("build")
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert checkout.versions()["dev"] == BROKEN

    def test_a_roll_back_that_was_interrupted_goes_no_further_back(self, checkout: Checkout) -> None:
        begin(checkout, "live", "rollback", "1")
        assert pinned(checkout) == "2"
        assert "is recorded now: run this again to go back further" in checkout.make("rollback STAGE=live TARGET=local")
        assert (pinned(checkout), alias(checkout)) == ("1", ("1", {}))
        assert "No changes." in checkout.make("plan TARGET=local")

    def test_left_running_it_goes_on(self, checkout: Checkout) -> None:
        # However long the next tests take, it is on hold until there are calls.
        settings = ["--when-inconclusive", "hold", "--extensions", "0", "--max-p99-ms", "30000", *SHORT, *UNRELATED]
        with Terminal(checkout, "--version", "2", "--steps", "50", *settings) as terminal:
            terminal.wait_for("50 % to version 2")
            terminal.interrupt()
            terminal.wait_for("Abort it")
            terminal.type("\n")
            assert terminal.end() == 3
        assert (
            "goes on without this command: 'make release STAGE=live VERSION=2 TARGET=local' picks it up"
            in terminal.shown
        )
        assert alias(checkout) == ("1", {"2": 0.5})

    def test_status_names_it(self, checkout: Checkout) -> None:
        status = checkout.status()
        assert status["live"]["release"].startswith("live-release-2-")
        assert status["live"]["weights"] == {"2": 0.5}
        assert status["test"]["release"] is None

    def test_another_version_has_to_wait(self, checkout: Checkout) -> None:
        done = release(checkout, "--version", BAD)
        assert done.returncode == 2
        assert "is under way: wait for it to end, or end it with 'make rollback STAGE=live TARGET=local'" in done.stderr

    def test_it_is_not_undone_while_nobody_has_recorded_it(self, checkout: Checkout) -> None:
        with load(checkout):
            eventually(lambda: alias(checkout) == ("2", {}), 60)
        assert pinned(checkout) == "1"
        for command in ("deploy", "plan"):
            said = checkout.make(f"{command} TARGET=local")
            assert "live does not run what config.tf pins, and stays as it is" in said
            assert re.search(r"live runs version 2 since .* \(live-release-2-", said)
        assert (pinned(checkout), alias(checkout)) == ("1", ("2", {}))

    def test_run_again_it_is_recorded(self, checkout: Checkout) -> None:
        done = release(checkout)
        assert done.returncode == 0, done.stderr
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))

    def test_aborted_from_the_terminal_all_traffic_goes_back(self, checkout: Checkout) -> None:
        with Terminal(checkout, "--version", BAD, *LONG, *UNRELATED) as terminal:
            terminal.wait_for(f"10 % to version {BAD}")
            terminal.interrupt()
            terminal.wait_for("Abort it")
            terminal.type("a\n")
            assert terminal.end() == 1
        assert "Aborted: " in terminal.shown
        assert "All traffic goes to version 2, and config.tf is as it was" in terminal.shown
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        made = history(checkout)[0]
        assert (made["from"], made["to"], made["outcome"]) == ("2", BAD, "aborted")
        assert "aborted by " in made["reason"]

    def test_roll_back_ends_the_release_that_is_under_way(self, checkout: Checkout) -> None:
        log = checkout.path / ".local" / "release.log"
        with log.open("w") as output:
            watching = subprocess.Popen(
                [sys.executable, "scripts/release.py", "--stage", "live", "--version", BAD, *LONG, *UNRELATED],
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
        assert "live is between versions" in blocked.stderr
        assert "All traffic of live goes to version 2" in checkout.make("rollback STAGE=live TARGET=local")
        assert (pinned(checkout), alias(checkout)) == ("2", ("2", {}))
        assert history(checkout)[0]["outcome"] == "aborted"

    def test_deploy_leaves_the_alias_of_a_release_alone(self, checkout: Checkout) -> None:
        given = {"FunctionName": "path-to-live", "Name": "live"}
        functions = checkout.client("lambda")
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})
        checkout.edit(CONFIG, 'live = { function_version = "2"', 'live = { function_version = "1"')
        done = checkout.run("make deploy STAGE=live TARGET=local")
        checkout.edit(CONFIG, 'live = { function_version = "1"', 'live = { function_version = "2"')
        functions.update_alias(**given, RoutingConfig={"AdditionalVersionWeights": {}})
        assert done.returncode != 0
        assert "A release of live is in progress: version 1 has 10 % of the traffic" in done.stderr
        assert alias(checkout) == ("2", {})

    def test_lost_sight_of_it_says_how_to_pick_it_up(self, checkout: Checkout) -> None:
        with Terminal(checkout, "--version", BAD, *LONG, *UNRELATED) as terminal:
            terminal.wait_for(f"10 % to version {BAD}")
            checkout.make("stop")
            assert terminal.end() == 3
        assert f"'make release STAGE=live VERSION={BAD} TARGET=local' picks it up" in terminal.shown
