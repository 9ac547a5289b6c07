"""Requests in total, and in a file."""

from __future__ import annotations

from pathtolive.demo import traffic
from pathtolive.demo.traffic import Request

REQUESTS = [
    Request(10.0, 0.01, 200, "1"),
    Request(10.9, 0.01, 200, "2"),
    Request(11.0, 0.01, 500, None),
    Request(11.5, 0.01, 200, "2"),
    Request(13.2, 9.0, 0, None),
]


def test_totals_count_requests_without_a_response_as_failed() -> None:
    found = traffic.totals(REQUESTS)
    assert found == traffic.Totals(requests=5, failed=2, first_failed=11.0)


def test_totals_of_an_interval_include_its_start_and_not_its_end() -> None:
    assert traffic.totals(REQUESTS, 10.9, 11.5) == traffic.Totals(requests=2, failed=1, first_failed=11.0)
    assert traffic.totals(REQUESTS, 11.5, 13.2) == traffic.Totals(requests=1, failed=0, first_failed=None)
    assert traffic.totals([]) == traffic.Totals(requests=0, failed=0, first_failed=None)


def test_requests_are_written_as_lines() -> None:
    assert traffic.as_csv(REQUESTS[1:3]) == "at,took,status,version\n10.900,0.010,200,2\n11.000,0.010,500,\n"
