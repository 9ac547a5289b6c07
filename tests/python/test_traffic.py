"""Calls by the second and by version, and in figures."""

from __future__ import annotations

from pathtolive import traffic
from pathtolive.traffic import Call

CALLS = [
    Call(10.0, 0.01, 200, "1"),
    Call(10.9, 0.01, 200, "2"),
    Call(11.0, 0.01, 500, None),
    Call(11.5, 0.01, 200, "2"),
    Call(13.2, 9.0, 0, None),
]


def test_calls_are_counted_in_the_second_in_which_they_were_due() -> None:
    assert traffic.bins(CALLS) == [
        traffic.Bin(10.0, {"1": 1, "2": 1}, 0),
        traffic.Bin(11.0, {"2": 1}, 1),
        traffic.Bin(12.0, {}, 0),
        traffic.Bin(13.0, {}, 1),
    ]


def test_bins_may_be_wider() -> None:
    assert [(each.start, each.calls) for each in traffic.bins(CALLS, 2.0)] == [(10.0, 4), (12.0, 1)]


def test_no_calls_make_no_bins() -> None:
    assert traffic.bins([]) == []


def test_shares_are_of_the_answered_calls_and_error_rates_of_all() -> None:
    first, second, empty, unanswered = traffic.bins(CALLS)
    assert (first.share("1"), first.share("2"), first.share("3")) == (0.5, 0.5, 0.0)
    assert (second.share("2"), second.error_rate) == (1.0, 0.5)
    assert (empty.share("2"), empty.error_rate) == (0.0, 0.0)
    assert (unanswered.share("2"), unanswered.error_rate) == (0.0, 1.0)


def test_figures_count_what_had_no_answer_as_failed() -> None:
    found = traffic.figures(CALLS)
    assert found == traffic.Figures(calls=5, failed=2, first_failed=11.0)
    assert found.error_rate == 0.4


def test_figures_of_a_stretch_begin_with_it_and_end_before_its_end() -> None:
    assert traffic.figures(CALLS, 10.9, 11.5) == traffic.Figures(calls=2, failed=1, first_failed=11.0)
    assert traffic.figures(CALLS, 11.5, 13.2) == traffic.Figures(calls=1, failed=0, first_failed=None)
    assert traffic.figures([]).error_rate == 0.0


def test_the_statement_tells_how_many_failed_out_of_how_many() -> None:
    assert traffic.statement(traffic.figures(CALLS), "3") == "2 of 5 calls failed for users (40 %): all of version 3"
    assert traffic.statement(traffic.figures(CALLS[:2]), "3") == "None of 2 calls failed for users"


def test_calls_are_written_as_lines() -> None:
    assert traffic.as_csv(CALLS[1:3]) == "at,took,status,version\n10.900,0.010,200,2\n11.000,0.010,500,\n"
