"""Requests by second, by version, and in total."""

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


def test_requests_are_counted_in_their_scheduled_second() -> None:
    assert traffic.bins(REQUESTS) == [
        traffic.Bin(10.0, {"1": 1, "2": 1}, 0),
        traffic.Bin(11.0, {"2": 1}, 1),
        traffic.Bin(12.0, {}, 0),
        traffic.Bin(13.0, {}, 1),
    ]


def test_bins_can_be_wider() -> None:
    assert [(each.start, each.requests) for each in traffic.bins(REQUESTS, 2.0)] == [(10.0, 4), (12.0, 1)]


def test_without_requests_there_are_no_bins() -> None:
    assert traffic.bins([]) == []


def test_shares_are_of_the_successful_requests_and_error_rates_of_all() -> None:
    first, second, empty, failed = traffic.bins(REQUESTS)
    assert (first.share("1"), first.share("2"), first.share("3")) == (0.5, 0.5, 0.0)
    assert (second.share("2"), second.error_rate) == (1.0, 0.5)
    assert (empty.share("2"), empty.error_rate) == (0.0, 0.0)
    assert (failed.share("2"), failed.error_rate) == (0.0, 1.0)


def test_totals_count_requests_without_a_response_as_failed() -> None:
    found = traffic.totals(REQUESTS)
    assert found == traffic.Totals(requests=5, failed=2, first_failed=11.0)
    assert found.error_rate == 0.4


def test_totals_of_an_interval_include_its_start_and_not_its_end() -> None:
    assert traffic.totals(REQUESTS, 10.9, 11.5) == traffic.Totals(requests=2, failed=1, first_failed=11.0)
    assert traffic.totals(REQUESTS, 11.5, 13.2) == traffic.Totals(requests=1, failed=0, first_failed=None)
    assert traffic.totals([]).error_rate == 0.0


def test_statement_has_the_number_of_failures_and_of_requests() -> None:
    assert (
        traffic.statement(traffic.totals(REQUESTS), "3")
        == "2 of 5 requests failed for users (40 %), all of them of version 3"
    )
    assert traffic.statement(traffic.totals(REQUESTS[:2]), "3") == "None of 2 requests failed for users"


def test_requests_are_written_as_lines() -> None:
    assert traffic.as_csv(REQUESTS[1:3]) == "at,took,status,version\n10.900,0.010,200,2\n11.000,0.010,500,\n"
