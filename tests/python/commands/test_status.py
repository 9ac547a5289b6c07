"""The text of ``make status``."""

from __future__ import annotations

import pytest

from pathtolive import status

# The name of the service ends in the name of a stage.
PREFIX = "path-to-live-live-"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["unhealthy"], "unhealthy"),
        (["unhealthy", "error-rate", "api-5xx-rate"], "unhealthy: error-rate, api-5xx-rate"),
        # The composite alarm follows the others after a moment.
        (["duration", "throttles"], "duration, throttles"),
    ],
)
def test_status_names_the_alarms_of_a_stage_without_its_name(names: list[str], text: str) -> None:
    assert status.alarms([f"{PREFIX}{name}" for name in names], PREFIX) == text
