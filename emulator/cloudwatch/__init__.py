"""CloudWatch: metrics, metric math, alarms and what they set off."""

from __future__ import annotations

from emulator.cloudwatch import metrics, requests, states, ticker


def install() -> None:
    """Put all of it in front of MiniStack's own CloudWatch."""
    for behaviour in (metrics, requests, states, ticker):
        behaviour.install()
