"""The process that sends requests, against a test server, and the lines of make load."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from pathtolive.cli import CommandError
from pathtolive.load.arrivals import Arrival, Outcome, Step, arrivals
from pathtolive.load.routes import served
from pathtolive.load.run import Load
from pathtolive.load.windows import Count, Windows, percentile
from tests.conftest import ROOT
from tests.stage_server import Stage, serving
from tests.waiting import eventually

RATE = 100.0
STEPS = [Step(10, 0.35, ["/"]), Step(100, 0.03, ["/", "/build-info"])]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with serving() as server:
        yield server


def sent(url: str, seconds: float, *paths: str) -> list[Outcome]:
    """Send requests, and return what became of each of them, in the order in which they were due."""
    outcomes: list[Outcome] = []
    with Load(url, [Step(RATE, seconds, paths or ("/build-info",))]) as load:
        while (ended := load.read()) is not None:
            outcomes += ended
    return sorted(outcomes, key=lambda outcome: outcome.turn)


def test_steps_follow_each_other_and_request_their_paths_in_turn() -> None:
    assert list(arrivals(STEPS)) == [
        *(Arrival(turn, 0, turn / 10, "/") for turn in range(4)),
        *(Arrival(4 + place, 1, 0.35 + place / 100, "/" if place % 2 == 0 else "/build-info") for place in range(3)),
    ]


def test_load_accounts_for_every_request_once(stage: Stage) -> None:
    outcomes = sent(stage.url, 0.5, "/", "/build-info")
    assert [outcome.turn for outcome in outcomes] == list(range(50))
    assert next(stage.turns) == 51
    assert Counter(outcome.status for outcome in outcomes) == {200: 40, 500: 10}
    assert [outcome.path for outcome in outcomes] == ["/", "/build-info"] * 25
    assert {outcome.version for outcome in outcomes if outcome.path == "/"} == {None}
    assert {outcome.version for outcome in outcomes if outcome.path == "/build-info"} == {"7", None}
    # Every response ends before the next request, so that one connection is enough on an idle machine.
    assert stage.connections < 25


def test_load_keeps_its_rate_if_responses_are_slow(stage: Stage) -> None:
    stage.delay = 0.5
    outcomes = sent(stage.url, 1.0)
    assert len(outcomes) == RATE
    assert all(outcome.took >= 0.5 for outcome in outcomes)
    # A load that waited for responses would begin with the last request after 50 s.
    assert max(outcome.late for outcome in outcomes) < 5


def test_load_sends_no_request_again_if_the_connection_is_closed() -> None:
    """An HTTP client may repeat such a request: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2."""
    received = 0
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def close_connections() -> None:
            nonlocal received
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    received += bool(connection.recv(65536))

        thread = threading.Thread(target=close_connections)
        thread.start()
        outcomes = sent(f"http://127.0.0.1:{server.getsockname()[1]}/live/", 0.2)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert [(outcome.status, outcome.failed) for outcome in outcomes] == [(0, True)] * 20
    assert received == 20


def test_load_that_is_stopped_waits_for_the_requests_in_progress(stage: Stage) -> None:
    stage.delay = 0.5
    outcomes: list[Outcome] = []
    with Load(stage.url, [Step(RATE, math.inf, ["/"])]) as load:
        time.sleep(0.3)
        load.stop()
        while (ended := load.read()) is not None:
            outcomes += ended
    assert len(outcomes) == next(stage.turns) - 1 > 0


def test_load_is_ended_with_its_command(stage: Stage) -> None:
    code = (
        "import os, time; from pathtolive.load.run import Load, Step; "
        f"load = Load({stage.url!r}, [Step(10, float('inf'), ['/'])]); print(load._process.pid, flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True, check=False
    )
    eventually(lambda: not psutil.pid_exists(int(done.stdout)))


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"requests": [[0, 0, 0, "/", 0, 0, 200, None]] * 2}], "Request 0 was reported twice"),
        ([{"requests": [[1, 0, 0, "/", 0, 0, 200, None]]}, {"ended": 2}], "1 of 2 requests were reported"),
        ([{"requests": []}], "The process that sends the requests failed"),
    ],
)
def test_load_that_loses_or_repeats_a_request_fails(
    messages: list[object], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = "\n".join(json.dumps(message) for message in [{"started": 0}, *messages])
    (tmp_path / "generator").write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n")
    (tmp_path / "generator").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "generator"))
    with Load("http://127.0.0.1/", []) as load, pytest.raises(CommandError, match=said):
        load.wait()


def test_load_that_does_not_start_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(CommandError, match=r"The process that sends the requests failed\. Read .*/load\.log"):
        Load("http://127.0.0.1/", [])


def outcome(at: float, path: str = "/", status: int = 200, version: str | None = None, late: float = 0) -> Outcome:
    return Outcome(round(at * 2), 0, at, path, late, 1.0, status, version)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Windows]:
    """Yield the windows of a load of two requests per second that began at 12:40:05 UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield Windows(1_800_016_805.0, arrivals([Step(2, math.inf, ["/"])]))
    monkeypatch.undo()
    time.tzset()


def due(*places: float) -> Iterable[Outcome]:
    return (outcome(place / 2) for place in places)


def test_line_counts_the_requests_that_were_due_in_its_window(windows: Windows) -> None:
    assert list(windows.add(due(*range(1, 10), *range(12, 20)))) == []
    assert list(windows.add(due(0))) == ["12:40:05–12:40:10  10 requests, 0 failed, p99 1000 ms"]
    assert list(windows.add(due(10, 11, 20))) == ["12:40:10–12:40:15  10 requests, 0 failed, p99 1000 ms"]
    assert list(windows.rest(12.0)) == ["12:40:15–12:40:17  1 requests, 0 failed, p99 1000 ms"]
    assert str(windows.total) == "21 requests, 0 failed, p99 1000 ms"


def test_load_with_a_low_rate_has_no_lines_for_windows_without_requests() -> None:
    windows = Windows(0, arrivals([Step(0.1, math.inf, ["/"])]))
    lines = [line for at in (0, 10, 20) for line in windows.add([outcome(at)])]
    assert [line.partition("  ")[2] for line in lines] == ["1 requests, 0 failed, p99 1000 ms"] * 3


def test_line_names_failures_by_route_and_versions(windows: Windows) -> None:
    list(
        windows.add(
            [
                outcome(0, status=500),
                outcome(0.5, status=500),
                outcome(1, status=0),
                outcome(1.5, "/build-info", 429),
                outcome(2, "/build-info", 200, "8"),
                outcome(2.5, "/build-info", 200, "7"),
                outcome(3, "/build-info", 200, "8", late=0.2),
            ]
        )
    )
    assert str(windows.total) == (
        "7 requests, 4 failed (1 of GET / without a response, 2 of GET / with status 500, 1 of GET /build-info with "
        "status 429), p99 1000 ms, 1 sent late by this machine, version 7: 1, version 8: 2"
    )


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentile_is_a_value_of_the_sample(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == expected
    assert percentile([3.0], percent) == 3.0


def test_load_finds_the_get_routes_that_the_stage_has(stage: Stage) -> None:
    stage.missing = {"/live/newest"}
    keys = ["POST /orders", "GET /build-info", "GET /newest", "ANY /", "GET /users/{id}", "$default", "GET /"]
    assert served(stage.url, keys) == ["/", "/build-info"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("load.py --route build-info", "build-info is not a path, such as /build-info"),
        ("load.py --rate 0", "--rate 0 is not greater than 0 and at most 1000 requests per second"),
        ("load.py --rate -1", "--rate -1 is not greater than 0 and at most 1000 requests per second"),
        ("load.py --rate 1001", "--rate 1001 is not greater than 0 and at most 1000 requests per second"),
        ("stress.py --route build-info", "build-info is not a path, such as /build-info"),
        ("stress.py --rate 20,10", "'20,10' is not a list of ascending requests per second, each up to 10000"),
        ("stress.py --rate nan", "'nan' is not a list of ascending requests per second"),
        ("stress.py --rate 1,", "'1,' is not a list of ascending requests per second"),
        ("stress.py --step-seconds nan", "'nan' is not a number of seconds from 1 to 3600"),
        ("stress.py --step-seconds 0", "'0' is not a number of seconds from 1 to 3600"),
    ],
)
def test_invalid_option_is_refused(arguments: str, said: str) -> None:
    command = [sys.executable, *f"scripts/{arguments}".split(), "--stage", "live"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("statuses", "took", "exceeded"),
    [
        ([200] * 99 + [500], [0.1] * 100, ""),
        ([200] * 98 + [500, 0], [0.1] * 100, "2.00% of the requests failed (limit: 1.00%)"),
        ([200] * 100, [0.1] * 98 + [0.3] * 2, "the p99 is 300 ms (limit: 200 ms)"),
        ([], [], "no request has ended"),
    ],
    ids=["kept", "failures", "duration", "nothing"],
)
def test_load_names_the_limits_that_it_exceeds(statuses: list[int], took: list[float], exceeded: str) -> None:
    count = Count()
    for turn, (status, seconds) in enumerate(zip(statuses, took, strict=True)):
        count.add(Outcome(turn, 0, 0.0, "/", 0.0, seconds, status, None))
    assert count.exceeded(0.01, 200) == exceeded
