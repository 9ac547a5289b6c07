"""What a release can find: the smallest error rates of a new version, given the traffic of its stage.

The formulas approximate the simulation of releases: see "The smallest error rates" in docs/releases.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from pathtolive.release.settings import Settings, percents

MINUTE = 60
# How many errors are odds of 100 to 1, by the weight of the new version: the more traffic it has, the more of the
# errors it has anyway.
ERRORS = ((0.0, 4.0), (0.1, 4.0), (0.25, 5.0), (0.5, 9.0), (0.9, 58.0))
MAX_WEIGHT = 0.9


def smallest_in_step(invocations: float, weight: float, limit: float) -> float:
    """Return the smallest error rate that a step finds in nine of ten releases, if the previous version hardly fails.

    ``invocations`` are those of the new version in the step, ``weight`` is its share of the traffic, and ``limit`` is
    the error rate that is allowed.
    """
    if not invocations:
        return 1.0
    errors = next(
        low + (high - low) * (weight - left) / (right - left)
        for (left, low), (right, high) in pairwise([*ERRORS, (1.0, math.inf)])
        if weight <= right
    )
    by_odds = (errors + 1.28 * math.sqrt(errors)) / invocations
    over_limit = (2.5 + math.sqrt(6.25 + 2 * limit * invocations)) ** 2 / (4 * invocations)
    return max(by_odds, over_limit)


def smallest_in_bake(invocations: float, limit: float) -> float:
    """Return the smallest error rate that a bake finds in nine of ten releases, as ``smallest_in_step`` does."""
    return (3.2 + math.sqrt(10.2 + 4 * limit * invocations)) ** 2 / (4 * invocations)


def needed(given: Settings) -> float:
    """Return how many invocations of the new version a step needs to succeed."""
    return max(given.min_invocations or 0, 1 / (2 * limit) if (limit := given.max_error_rate or 0) else 0)


def found(given: Settings, per_minute: float) -> str:
    """Return the smallest error rates that a release finds, as text.

    ``per_minute`` are the invocations of its stage.
    """
    rates = ", ".join(f"{text} in the {name}" for name, text in smallest(given, per_minute).items())
    return f"at {per_minute:,.0f} invocations per minute, error rates from about {rates}"


def smallest(given: Settings, per_minute: float) -> dict[str, str]:
    """Return the smallest error rates that the steps and the bake of a release find, as percentages."""
    limit = given.max_error_rate or 0
    rates = {
        f"{percents(weight)} step": smallest_in_step(_invocations(given, weight, per_minute), weight, limit)
        for weight in given.steps or ()
    }
    if given.bake_seconds:
        rates["bake"] = smallest_in_bake(per_minute * given.bake_seconds / MINUTE, limit)
    return {name: f"{min(100.0, float(f'{100 * rate:.2g}')):g} %" for name, rate in rates.items()}


def warnings(given: Settings, per_minute: float) -> Iterator[str]:
    """Yield a sentence for each step that cannot succeed, or cannot find anything."""
    for number, weight in enumerate(given.steps or (), 1):
        step = f"step {number} ({percents(weight)})"
        if (invocations := _invocations(given, weight, per_minute)) < needed(given):
            seconds = math.ceil(needed(given) / (per_minute * weight)) * MINUTE
            yield (
                f"With this traffic, {step} has about {invocations:,.0f} invocations of version {given.version}, and "
                f"needs {needed(given):,.0f}: it will be inconclusive. With STEP_SECONDS={seconds}, it has enough."
            )
        elif weight > MAX_WEIGHT:
            yield (
                f"During {step}, version {given.version} has nearly all traffic, so there is nothing to compare it "
                f"with. Weights up to {percents(MAX_WEIGHT)} are compared."
            )


def _invocations(given: Settings, weight: float, per_minute: float) -> float:
    return per_minute * weight * (given.step_seconds or 0) / MINUTE
