"""The commands that start and stop local AWS in the background."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest

from pathtolive import local_aws
from pathtolive.cli import CommandError
from tests.conftest import REGION, free_port

# The process that starts local AWS in the background leaves it running.
pytestmark = pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning")


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


def test_background_keeps_state_if_requested(background: Any) -> None:
    port = free_port()
    s3 = client(background.start(port, 1, keep_state=True), "s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
    background.stop()
    background.start(port, 1, keep_state=True)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["kept"]


def test_background_fails_if_another_server_answers(background: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server takes the port after the check, and answers instead of local AWS."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        looks = iter([False, False])

        def answers(_address: str) -> bool:
            return next(looks, True)

        monkeypatch.setattr(background, "answers", answers)
        monkeypatch.setattr(background.time, "sleep", lambda _: threading.Event().wait(3))
        with pytest.raises(CommandError, match="Local AWS did not start"):
            background.start(other.getsockname()[1], 1, keep_state=False)
