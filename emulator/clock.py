"""How fast AWS's slow time passes: waits, retries, time-outs of executions, metric periods, alarm evaluations.

One place for all of them, so that a release of half an hour can be watched in a minute with nothing else changed.
Moments (timestamps of metrics, logs, events) are always those of the real clock.
"""

from __future__ import annotations

import os

VARIABLE = "EMBEDDED_AWS_SPEED"


def speed() -> float:
    """Return how many of AWS's seconds pass in a real one; 1 is AWS's own pace."""
    return float(os.environ.get(VARIABLE, "1"))


def real(seconds: float) -> float:
    """Return how many real seconds stand for some of AWS's."""
    return seconds / speed()
