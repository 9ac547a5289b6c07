"""How fast AWS's time passes: waits, retries, timeouts of executions, metric periods, and alarm evaluations.

All of them take their pace from here, so that a release of half an hour takes a minute and nothing else changes.
Timestamps of metrics, logs, and events are those of the real clock.
"""

from __future__ import annotations

# How many of AWS's seconds pass in a real one: 1 is AWS's own pace. The server sets it before anything reads it.
speed = 1.0


def real(seconds: float) -> float:
    """Return the real seconds that correspond to a number of AWS's seconds."""
    return seconds / speed
