"""The smallest error rates that a release finds, as it prints them, and in simulated releases."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from pathtolive import simulation
from pathtolive.release import sensitivity
from pathtolive.release.settings import Settings
from pathtolive.simulation import BAD, Analyze, Case, Rule, simulate

GIVEN = Settings(
    *("live", "8", (0.1, 0.5)),
    step_seconds=300,
    bake_seconds=900,
    max_error_rate=0.01,
    min_invocations=50,
)
MINUTE = 60


@pytest.fixture(scope="module")
def analyze() -> Iterator[Analyze]:
    with simulation.pool() as found:
        yield found


@pytest.mark.parametrize(
    ("per_second", "rates"),
    [
        (1, ["22 %", "8.6 %", "2.8 %"]),
        (5, ["5.1 %", "1.7 %", "1.6 %"]),
        (20, ["1.9 %", "0.94 %", "1.3 %"]),
        (0.01, ["100 %", "100 %", "100 %"]),
    ],
)
def test_smallest_error_rates(per_second: float, rates: list[str]) -> None:
    assert list(sensitivity.smallest(GIVEN, MINUTE * per_second).values()) == rates


@pytest.mark.parametrize(("weight", "per_second"), [(0.1, 1), (0.1, 5), (0.25, 5), (0.5, 5)])
def test_simulated_step_finds_them_and_hardly_smaller_ones(analyze: Analyze, weight: float, per_second: float) -> None:
    rate = sensitivity.smallest_in_step(MINUTE * 5 * per_second * weight, weight, 0.01)
    rule = Rule(steps=(weight,), delay_minutes=0, bake_minutes=0, max_extensions=0)

    def found(error_rate: float) -> float:
        return simulate(Case(per_second, error_rate, 0.0001, ignores_alarms=True), rule, 60, analyze).shares[BAD]

    assert found(rate) >= 0.75
    assert found(0.3 * rate) <= 0.4


def test_simulated_bake_finds_them_and_hardly_smaller_ones(analyze: Analyze) -> None:
    rate = sensitivity.smallest_in_bake(MINUTE * 15 * 5, 0.01)
    rule = Rule(steps=(), delay_minutes=0)

    def found(error_rate: float) -> float:
        return simulate(Case(5, error_rate, 0.0001, ignores_alarms=True), rule, 60, analyze).shares[BAD]

    assert found(rate) >= 0.75
    assert found(0.6 * rate) <= 0.4


def test_step_without_a_duration_finds_nothing() -> None:
    assert sensitivity.smallest(dataclasses.replace(GIVEN, step_seconds=0), 300)["10 % step"] == "100 %"


def test_announcement() -> None:
    assert sensitivity.found(GIVEN, 300) == (
        "at 300 invocations per minute, error rates from about 5.1 % in the 10 % step, 1.7 % in the 50 % step, "
        "1.6 % in the bake"
    )


def test_release_that_finds_enough_has_no_warning() -> None:
    assert list(sensitivity.warnings(GIVEN, 300)) == []


def test_step_with_too_few_invocations_has_a_warning_with_a_remedy() -> None:
    assert list(sensitivity.warnings(GIVEN, 60)) == [
        "With this traffic, step 1 (10 %) has about 30 invocations of version 8, and needs 50: it will be "
        "inconclusive. With STEP_SECONDS=540, it has enough."
    ]


def test_step_with_nearly_all_traffic_has_a_warning() -> None:
    (warning,) = sensitivity.warnings(Settings("live", "8", (0.95,), step_seconds=300, max_error_rate=0.01), 600)
    assert warning.startswith("During step 1 (95 %), version 8 has nearly all traffic")
