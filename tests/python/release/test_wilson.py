"""The bounds of a rate."""

from __future__ import annotations

import math
import random

import pytest

from pathtolive import simulation, wilson


@pytest.mark.parametrize("deviations", [1.0, 2.0, 2.33])
@pytest.mark.parametrize(("failed", "of"), [(1, 10), (4, 30), (150, 300), (299, 300)])
def test_bounds_are_that_many_deviations_from_the_rate(failed: int, of: int, deviations: float) -> None:
    for bound in wilson.bounds(failed, of, deviations):
        assert abs(failed / of - bound) == pytest.approx(deviations * math.sqrt(bound * (1 - bound) / of))


def test_bounds_are_rates() -> None:
    assert wilson.bounds(0, 0, 2) == (0, 1)
    assert wilson.bounds(0, 300, 2) == pytest.approx((0, 4 / 304))
    assert wilson.bounds(300, 300, 2) == pytest.approx((300 / 304, 1))


@pytest.mark.parametrize(("failed", "invocations"), [(12, 300), (20, 300), (9, 100)])
def test_bounds_are_those_of_the_analysis_of_a_bake(failed: int, invocations: int) -> None:
    """The expression of the state machine says the lower bound, with three deviations, in its reason."""
    minute = simulation.Minute(invocations, failed, 0, 0)
    release = simulation.Release(simulation.Case(1, 0, 0), simulation.Rule(steps=()), random.Random(1))  # noqa: S311 - no secret
    variables = release.look() | {"baking": True}
    measure = minute._asdict() | {"worst_minute": simulation.NOTHING._asdict()}
    variables["metrics"] = {"errors": measure, "slow": measure | {"failed": 0}}
    reason = simulation.analyze_one(variables)["reason"]
    bound = 100 * wilson.bounds(failed, invocations, 3)[0]
    assert f"That is at least {round(bound, 2):g} %" in reason, reason
