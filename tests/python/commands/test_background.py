"""The commands that start and stop local AWS in the background."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest

from pathtolive import local_aws, smoke, target, terraform_cli
from pathtolive.cli import CommandError
from tests import processes
from tests.conftest import REGION, free_port
from tests.waiting import eventually

# The process that starts local AWS in the background leaves it running.
pytestmark = [
    pytest.mark.endpoint,
    pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning"),
]


def client(url: str, service: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name=REGION)  # type: ignore[call-overload]


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Yield the module local_aws with a separate directory, and stop local AWS after the test."""
    for name, path in (("DIRECTORY", ""), ("LOCK", "lock"), ("LOG", "log"), ("STATE", "state")):
        monkeypatch.setattr(local_aws, name, tmp_path / "local-aws" / path)
    yield local_aws
    local_aws.stop()


def test_background_starts_once_and_stops_once(background: Any) -> None:
    port = free_port()
    assert background.url() is None
    url = background.start(port, 1, keep_state=False)
    assert url == f"http://127.0.0.1:{port}" == background.url() == background.start(None, None, keep_state=False)
    with pytest.raises(CommandError, match=f"already running on port {port}. Stop it first with: make stop"):
        background.start(port + 1, 1, keep_state=False)
    with pytest.raises(CommandError, match=r"already running at speed 1\. Stop it first with: make stop"):
        background.start(port, 2, keep_state=False)
    assert background.stop() is True
    assert background.stop() is False
    assert not background.answers(url)


def test_background_reports_why_it_did_not_start(background: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        # This listener does not support HTTP.
        other.settimeout(0)
        with pytest.raises(CommandError, match=f"did not start:\nPort {port}"):
            background.start(port, 1, keep_state=False)
    assert background.url() is None


def test_background_ignores_a_leftover_lock_file(background: Any) -> None:
    background.DIRECTORY.mkdir()
    background.LOCK.write_text(json.dumps({"pid": os.getpid(), "port": 1}))
    assert background.url() is None
    assert background.stop() is False
    assert str(background.not_running()) == "Local AWS is not running. Start it with: make local"


def kill(background: Any) -> None:
    os.kill(json.loads(background.LOCK.read_text())["pid"], signal.SIGKILL)


def is_saved(state: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in state.rglob("*") if path.is_file())


def test_background_keeps_state_if_requested(background: Any) -> None:
    port = free_port()
    s3 = client(background.start(port, 1, keep_state=True), "s3")
    for bucket, end in {f"stopped{port}": background.stop, f"killed{port}": lambda: kill(background)}.items():
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        # It saves a change soon after the answer.
        eventually(functools.partial(is_saved, background.STATE, bucket))
        end()
        eventually(lambda: background.url() is None)
        background.start(port, 1, keep_state=True)
        assert background.set_aside() == ""
        assert bucket in [found["Name"] for found in s3.list_buckets()["Buckets"]]


def test_background_reports_a_state_that_was_set_aside(background: Any) -> None:
    background.STATE.mkdir(parents=True)
    (background.STATE / "lambda.json").write_text("{}")
    background.start(free_port(), 1, keep_state=True)
    said = background.set_aside()
    assert said.startswith(
        f"The saved state could not be read: it has no database. It is now in {background.STATE}.unre"
    )
    assert said.endswith(" Local AWS starts empty.")


def test_background_that_does_not_keep_its_state_cannot_begin_to(background: Any) -> None:
    port = free_port()
    background.start(port, 1, keep_state=False)
    with pytest.raises(CommandError, match=r"already running without PERSIST=1\. Stop it first with: make stop"):
        background.start(port, 1, keep_state=True)


LOST = r"Local AWS {how}, and its state is lost\. Its log is {log}\. Start it again with: make local$"
KEPT = r"Local AWS {how}\. Its log is {log}\. Start it again with: make local PERSIST=1$"


@pytest.mark.parametrize(("kept", "said"), [(False, LOST), (True, KEPT)])
def test_background_that_ends_is_noticed(background: Any, kept: bool, said: str) -> None:
    url = background.start(free_port(), 1, keep_state=kept)
    background.check(url)
    kill(background)
    # As soon as the connection is refused, even if the process has not quite ended.
    with pytest.raises(background.EndedError, match=said.format(how="ended while this command .*", log=background.LOG)):
        background.check(f"{url}/path", refused=True)
    background.check(f"{url}0")
    background.check("http://127.0.0.1:9")
    background.check("")
    assert re.fullmatch(said.format(how="ended unexpectedly", log=background.LOG), str(background.not_running()))


def test_background_that_is_stopped_is_noticed(background: Any) -> None:
    url = background.start(free_port(), 1, keep_state=False)
    background.stop()
    with pytest.raises(background.EndedError, match="ended while this command was in progress"):
        background.check(url)
    assert str(background.not_running()) == "Local AWS is not running. Start it with: make local"


def test_background_that_has_just_been_started_is_waited_for(background: Any) -> None:
    """The process holds the lock before the file says which process that is."""
    background.DIRECTORY.mkdir()
    with background.LOCK.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def write() -> None:
            lock.write(json.dumps({"pid": os.getpid(), "port": 7, "kept": False, "stopped": False}))
            lock.flush()

        threading.Timer(0.3, write).start()
        assert background.url() == "http://127.0.0.1:7"


def test_request_to_local_aws_that_has_ended_is_not_sent_again(background: Any) -> None:
    url = background.start(free_port(), 1, keep_state=False)
    topics = target.Target(url, REGION).client("sns")
    topics.list_topics()
    kill(background)
    began = time.monotonic()
    for request in (topics.list_topics, target.Target(url, REGION).client("sqs").list_queues):
        with pytest.raises(background.EndedError):
            request()
    with pytest.raises(background.EndedError):
        smoke.check(f"{url}/_aws/execute-api/id/live/", "make logs")
    assert time.monotonic() - began < 1


def test_request_to_another_endpoint_fails_as_ever(background: Any) -> None:
    background.start(free_port(), 1, keep_state=False)
    kill(background)
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        target.Target(url, REGION).client("sns").list_topics()
    status, reason = smoke.get(f"{url}/")
    assert (status, "refused" in reason) == (0, True)


# Stands for Terraform: it starts, tries for long, and saves its state when it is interrupted.
TERRAFORM = """#!/bin/sh
echo started >> calls
trap 'sleep 0.5; echo "{}" > errored.tfstate; echo "{\\"serial\\": 1}" > errored.tfstate; sleep 60' INT
sleep 60 & wait
"""


@pytest.fixture
def terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a program in the place of Terraform."""
    monkeypatch.setattr(terraform_cli, "log", lambda: tmp_path / "log")
    (tmp_path / "bin").mkdir()

    def put(source: str) -> None:
        (tmp_path / "bin" / "terraform").write_text(source)
        (tmp_path / "bin" / "terraform").chmod(0o755)

    return put


@pytest.mark.parametrize(("command", "kept"), [("apply", True), ("apply", False), ("plan", True)])
def test_terraform_is_ended_with_local_aws(
    background: Any, terraform: Callable[[str], None], tmp_path: Path, command: str, kept: bool
) -> None:
    """It saves what it has applied, if that is of any use."""
    terraform(TERRAFORM)
    url = background.start(free_port(), 1, keep_state=kept)
    variables = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "AWS_ENDPOINT_URL": url}

    def end() -> None:
        eventually((tmp_path / "calls").exists)
        kill(background)

    killer = threading.Thread(target=end)
    killer.start()
    began = time.monotonic()
    with pytest.raises(background.EndedError):
        terraform_cli.run(command, cwd=tmp_path, env=variables)
    assert time.monotonic() - began < 5
    killer.join()
    assert (tmp_path / "errored.tfstate").exists() is (command == "apply" and kept)
    eventually(lambda: processes.below(tmp_path) == [])


def test_terraform_that_notices_it_first_is_not_quoted(
    background: Any, terraform: Callable[[str], None], tmp_path: Path
) -> None:
    terraform("#!/bin/sh\necho 'Error: connection refused' >&2\nexit 1\n")
    url = background.start(free_port(), 1, keep_state=False)
    variables = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "AWS_ENDPOINT_URL": url}
    for run in (terraform_cli.run, terraform_cli.output):
        with pytest.raises(CommandError, match="connection refused"):
            run("init", cwd=tmp_path, env=variables)
    kill(background)
    eventually(lambda: background.url() is None)
    for run in (terraform_cli.run, terraform_cli.output):
        with pytest.raises(background.EndedError):
            run("init", cwd=tmp_path, env=variables)
