"""The load of the demonstration, against a test server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pathtolive.demo import load
from pathtolive.demo.traffic import Request
from tests.stage_server import Stage, serving

RATE = 100.0


@pytest.fixture
def stage() -> Iterator[Stage]:
    with serving() as server:
        yield server


def sent(stage: Stage, seconds: float) -> list[Request]:
    started = time.time()
    running = load.Load(stage.url, RATE, started)
    time.sleep(seconds)
    running.stop()
    # A busy machine may sleep longer.
    return [request for request in running.requests if request.at < seconds]


def test_load_records_the_status_and_version_of_every_request(stage: Stage) -> None:
    requests = sent(stage, 0.5)
    assert {(request.status, request.version) for request in requests} == {(200, "7"), (200, None), (500, None)}
    assert abs(sum(request.failed for request in requests) - len(requests) / 5) <= 1


def test_load_keeps_its_rate_if_responses_are_slow(stage: Stage) -> None:
    stage.delay = 0.2
    requests = sent(stage, 1.0)
    assert 0.7 * RATE <= len(requests) <= 1.1 * RATE
    assert [request.at for request in requests] == sorted(request.at for request in requests)
    assert all(request.took >= 0.2 for request in requests)


def test_load_counts_a_missing_response_as_a_failure(stage: Stage) -> None:
    port = stage.server_port
    stage.shutdown()
    stage.server_close()
    running = load.Load(f"http://127.0.0.1:{port}/live/", RATE, time.time())
    time.sleep(0.2)
    running.stop()
    assert {(request.status, request.failed) for request in running.requests} == {(0, True)}


def test_load_ends_after_a_number_of_requests(stage: Stage) -> None:
    running = load.Load(stage.url, RATE, time.time(), number=7)
    while stage.connections < 7:
        time.sleep(0.01)
    time.sleep(0.2)
    running.stop()
    assert len(running.requests) == stage.connections == 7


def test_load_sends_its_headers(stage: Stage) -> None:
    sent(stage, 0.2)
    assert "traceparent" not in stage.headers
    running = load.Load(stage.url, RATE, time.time(), number=1, headers={"traceparent": "none"})
    while not running.requests:
        time.sleep(0.01)
    running.stop()
    assert (stage.headers["traceparent"], stage.headers["connection"]) == ("none", "close")
