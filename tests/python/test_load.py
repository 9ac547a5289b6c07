"""A steady load on a stage, here on a server of the test's own."""

from __future__ import annotations

import http.server
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pathtolive import load
from pathtolive.traffic import Call
from tests.conftest import ROOT

RATE = 100.0


class Stage(http.server.ThreadingHTTPServer):
    """Answers one request in five with 500, and one with text in which no version stands."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.turns = itertools.count(1)
        self.delay = 0.0


class Handler(http.server.BaseHTTPRequestHandler):
    server: Stage

    def do_GET(self) -> None:
        turn = next(self.server.turns)
        time.sleep(self.server.delay)
        version = {"function": {"version": "7"}} if self.path == "/live/build-info" else {}
        body = b"No build info available" if turn % 5 == 1 else json.dumps(version).encode()
        self.send_response(500 if turn % 5 == 0 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def called(stage: Stage, seconds: float) -> list[Call]:
    began = time.time()
    running = load.Load(f"http://127.0.0.1:{stage.server_port}/live/", RATE, began)
    time.sleep(seconds)
    running.stop()
    # A busy machine may have slept longer.
    return [call for call in running.calls if call.at < seconds]


def test_load_tells_status_and_version_of_every_call(stage: Stage) -> None:
    calls = called(stage, 0.5)
    assert {(call.status, call.version) for call in calls} == {(200, "7"), (200, None), (500, None)}
    assert abs(sum(call.failed for call in calls) - len(calls) / 5) <= 1


def test_load_calls_as_often_as_was_asked_for_even_where_answers_are_slow(stage: Stage) -> None:
    stage.delay = 0.2
    calls = called(stage, 1.0)
    assert 0.7 * RATE <= len(calls) <= 1.1 * RATE
    assert [call.at for call in calls] == sorted(call.at for call in calls)
    assert all(call.took >= 0.2 for call in calls)


def test_load_counts_no_answer_as_a_failure(stage: Stage) -> None:
    port = stage.server_port
    stage.shutdown()
    stage.server_close()
    running = load.Load(f"http://127.0.0.1:{port}/live/", RATE, time.time())
    time.sleep(0.2)
    running.stop()
    assert {(call.status, call.failed) for call in running.calls} == {(0, True)}


def test_load_describes_calls_by_version() -> None:
    calls = [
        Call(0, 0, 200, "7"),
        Call(0, 0, 200, "8"),
        Call(0, 0, 200, "7"),
        Call(0, 0, 200, None),
        Call(0, 0, 500, None),
    ]
    assert load.describe(calls) == "5 calls, 1 failed, version 7: 2, version 8: 1, version unknown: 1"


@pytest.mark.parametrize("rate", ["0", "-1", "1001"])
def test_load_refuses_a_rate(rate: str) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/load.py", "--stage", "live", "--rate", rate],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"--rate {rate} is not from 0 to 1000 calls per second" in done.stderr
