"""Local AWS is killed in the middle of commands, and continues with its state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.checkout import Checkout
from tests.waiting import eventually

pytestmark = [pytest.mark.endpoint, pytest.mark.long]
GREETING = 'return text_response("Hello, World!")'
ERRORED = Path(".local/terraform/errored.tfstate")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    path = tmp_path_factory.mktemp("ends")
    with Checkout(path / "checkout", PERSIST="1", TARGET="local") as checkout:
        checkout.keep_provider()
        yield checkout


def kill(checkout: Checkout) -> None:
    running = json.loads((checkout.path / ".local/local-aws/lock").read_text())
    os.kill(running["pid"], signal.SIGKILL)


def ended(checkout: Checkout, when: Callable[[], Any], *command: str) -> tuple[int, str]:
    """Run a command, kill local AWS at some time, and return the status and the errors of the command.

    It must end within seconds.
    """
    with processes.start(
        command, cwd=checkout.path, env=checkout.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            eventually(lambda: when() or process.poll() is not None, 60)
            kill(checkout)
            _, errors = process.communicate(timeout=40)
        except BaseException:
            processes.interrupt(process)
            raise
    checkout.restart_provider()
    return process.returncode, errors


def log(checkout: Checkout, name: str) -> str:
    path = checkout.path / ".local/logs" / f"{name}.log"
    return path.read_text() if path.exists() else ""


def weights(checkout: Checkout) -> dict[str, float]:
    alias = checkout.client("lambda").get_alias(FunctionName="path-to-live", Name="live")
    found: dict[str, float] = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return found


def deploy(checkout: Checkout, old: str, new: str) -> None:
    checkout.edit("lambda/service/routes.py", old, new)
    checkout.commit("Change the greeting")
    checkout.make("build deploy")


def shifted(checkout: Checkout) -> bool:
    """Return whether a release has shifted traffic, and the state machine is in the next state."""
    if not weights(checkout):
        return False
    # A task that is killed is started again. It cannot change the alias twice, so the release would roll back.
    time.sleep(0.5)
    return True


RELEASE = (sys.executable, "scripts/release.py", "--stage", "live", "--step-seconds", "3000")


@pytest.mark.story
class TestLocalAwsEnds:
    def test_deployment_ends_with_it(self, checkout: Checkout) -> None:
        status, errors = ended(
            checkout, lambda: "aws_lambda_function.this: Creating" in log(checkout, "local"), "make", "local"
        )
        assert status == 2
        assert "Local AWS ended while this command was in progress. Its log is" in errors
        assert "Start it again with: make local PERSIST=1" in errors
        assert "Error:" not in errors
        assert (checkout.path / ERRORED).exists()

    def test_command_says_that_it_has_ended(self, checkout: Checkout) -> None:
        done = checkout.run("make status")
        assert done.returncode == 2
        assert "Local AWS ended unexpectedly. Its log is" in done.stderr
        assert "Start it again with: make local PERSIST=1" in done.stderr

    def test_deployment_continues(self, checkout: Checkout) -> None:
        assert "Released the lock of Terraform's state" in checkout.make("local")
        assert not (checkout.path / ERRORED).exists()
        assert checkout.versions() == {"dev": "1", "test": "1", "live": "1"}
        assert "No changes." in checkout.make("plan")

    def test_release_continues_with_its_state(self, checkout: Checkout) -> None:
        deploy(checkout, GREETING, f'{GREETING}  # "changed"')
        status, errors = ended(checkout, lambda: shifted(checkout), *RELEASE, "--version", "2")
        assert status == 3
        assert "Local AWS ended while this command was in progress. Its log is" in errors
        assert "then continues. To follow it again, run: make release STAGE=live VERSION=2 TARGET=local" in errors

    def test_release_is_in_progress_after_the_restart(self, checkout: Checkout) -> None:
        checkout.make("local")
        status = checkout.status()["live"]
        assert (status["function_version"], status["weights"]) == ("1", {"2": 0.1})
        assert "live-release-2-" in status["release"]
        blocked = checkout.run("make promote FROM=dev TO=live")
        assert "A release of live is in progress" in blocked.stderr

    def test_release_rolls_back_after_the_restart(self, checkout: Checkout) -> None:
        checkout.make("rollback STAGE=live")
        assert checkout.status()["live"]["weights"] == {}
        newest = json.loads(checkout.make("--silent history STAGE=live JSON=1"))[0]
        assert (newest["to"], newest["outcome"]) == ("2", "aborted")
        assert "No changes." in checkout.make("plan")

    def test_release_is_lost_with_its_state(self, checkout: Checkout) -> None:
        checkout.make("stop")
        checkout.settings.pop("PERSIST")
        checkout.make("local")
        deploy(checkout, '# "changed"', '# "changed again"')
        status, errors = ended(checkout, lambda: shifted(checkout), *RELEASE, "--version", "2")
        assert status == 1
        assert "and its state is lost. Its log is" in errors
        assert "Start it again with: make local\n" in errors
        assert "live-release-2-" in errors
        assert "ended with it." in errors
        assert "continues" not in errors
