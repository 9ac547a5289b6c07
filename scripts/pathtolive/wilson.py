"""Wilson's bounds of a rate: https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval."""

from __future__ import annotations

import math


def bounds(failed: int, of: int, deviations: float) -> tuple[float, float]:
    """Return the lower and the upper bound of a rate: from 0 to 1 if there are no trials."""
    if not of:
        return 0.0, 1.0
    rate, square = failed / of, deviations**2
    spread = deviations * math.sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    center, scale = rate + square / (2 * of), 1 + square / of
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)
