"""How often releases are right, on simulated traffic, with the expression that the state machine evaluates."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from pathtolive import simulation
from pathtolive.simulation import ALARM, BAD, INCONCLUSIVE, RELEASED, Analyze, Case, Result, Rule, simulate
from tests.terraform.support import SOURCE

# The bounds are those of the steps alone, as if metrics were complete at the end of a minute.
RULE = Rule(delay_minutes=0, bake_minutes=0)
BAKE = Rule(delay_minutes=0, steps=())


@pytest.fixture(scope="module")
def analyze() -> Iterator[Analyze]:
    with simulation.pool() as found:
        yield found


def check(result: Result, **bounds: float) -> None:
    """Verify the bounds of the shares of outcomes, in percent, and of the median minutes until a rollback."""
    found = {name: 100 * share for name, share in result.shares.items()}
    for name, bound in bounds.items():
        kind, _, outcome = name.partition("_")
        value = (result.minutes or 0) if outcome == "minutes" else found[outcome]
        assert value <= bound if kind == "most" else value >= bound, (name, result)


CASES = [
    (Case(5, 0.003, 0.003), {"most_bad": 0.5, "least_released": 99}),
    (Case(1, 0.003, 0.003), {"most_bad": 0.5, "least_released": 90}),
    (Case(5, 0.008, 0.008), {"most_bad": 1, "least_released": 90}),
    (Case(5, 0.015, 0.015), {"most_bad": 1, "most_released": 10}),
    (Case(5, 0.005, 0.3, ignores_alarms=True), {"least_released": 99.5}),
    (Case(1, 0.05, 0.001), {"most_released": 0.5, "least_bad": 65}),
    (Case(5, 0.05, 0.001), {"most_released": 0, "most_inconclusive": 0.5, "most_minutes": 5}),
    (Case(5, 0.02, 0.001), {"most_released": 1.5, "most_inconclusive": 5, "most_minutes": 10}),
    (Case(1, 0.2, 0.001), {"most_released": 0, "most_inconclusive": 0.5, "most_minutes": 6}),
]


@pytest.mark.parametrize(("case", "bounds"), CASES, ids=[str(case) for case, _ in CASES])
def test_outcomes(analyze: Analyze, case: Case, bounds: dict[str, float]) -> None:
    check(simulate(case, RULE, 30, analyze), **bounds)


@pytest.mark.long
@pytest.mark.parametrize(("case", "bounds"), CASES, ids=[str(case) for case, _ in CASES])
def test_outcomes_of_many_releases(analyze: Analyze, case: Case, bounds: dict[str, float]) -> None:
    check(simulate(case, RULE, 300, analyze), **bounds)


def test_alarm_is_that_of_the_module() -> None:
    source = (SOURCE / "modules" / "monitoring" / "main.tf").read_text()
    for setting in (
        f"evaluation_periods  = {simulation.ALARM_PERIODS}\n",
        f"datapoints_to_alarm = {simulation.ALARM_BREACHES}\n",
        f"IF(errors >= {simulation.ALARM_ERRORS}, 100 * ",
        f" - {simulation.ALARM_DEVIATIONS} * (",
    ):
        assert setting in source


def test_limit_alone_rolls_back_sound_releases() -> None:
    found = simulate(Case(5, 0.003, 0.003), RULE, 300, None)
    assert 0.2 < found.shares[BAD] < 0.5


def test_bake_finds_what_begins_with_all_traffic(analyze: Analyze) -> None:
    found = simulate(Case(5, 0.05, 0.001), BAKE, 60, analyze)
    assert found.shares[BAD] + found.shares[ALARM] == 1


@pytest.mark.parametrize("rate", [0.001, 0.003, 0.008])
def test_bake_keeps_sound_versions(analyze: Analyze, rate: float) -> None:
    assert simulate(Case(5, rate, rate), BAKE, 40, analyze).shares[RELEASED] == 1


def test_too_few_invocations_are_inconclusive(analyze: Analyze) -> None:
    assert simulate(Case(0.1, 0, 0), RULE, 10, analyze).shares[INCONCLUSIVE] == 1


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 1.0])
def test_successes_are_binomial(share: float) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    found = [simulation.successes(chance, 300, share) for _ in range(2000)]
    mean, deviation = 300 * share, math.sqrt(300 * share * (1 - share))
    assert abs(sum(found) / 2000 - mean) <= 4 * deviation / math.sqrt(2000)
    variance = sum((one - mean) ** 2 for one in found) / 2000
    assert variance == pytest.approx(deviation**2, rel=0.2)
