from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from pathtolive import logs


def event(message: str, version: str = "3") -> dict[str, Any]:
    return {
        "message": message,
        "timestamp": 1_800_000_000_000,
        "logStreamName": f"2027/01/15/[{version}]0123456789abcdef",
    }


REQUEST = {"level": "INFO", "stage": "live", "version": "3", "route": "GET /", "status": 200, "ms": 0.12}


@pytest.mark.parametrize(
    ("message", "version", "shown"),
    [
        (json.dumps(REQUEST) + "\n", "3", True),
        (json.dumps(REQUEST | {"stage": "test"}), "3", False),
        (json.dumps(REQUEST | {"stage": None}), "3", False),
        ("2027-01-15T08:00:00Z 0123 Task timed out after 3.00 seconds\n\n", "3", True),
        ("2027-01-15T08:00:00Z 0123 Task timed out after 3.00 seconds\n\n", "2", False),
        ("START RequestId: 0123 Version: 3\n", "3", False),
        ("END RequestId: 0123\n", "3", False),
        ("REPORT RequestId: 0123 Duration: 1.00 ms\n", "3", False),
        ("INIT_START Runtime Version: python:3.13.v1\n", "3", False),
        ("3", "3", True),
    ],
)
def test_log_of_a_stage_has_its_requests_and_the_reports_of_its_versions(
    message: str, version: str, shown: bool
) -> None:
    assert logs._is_of(logs._line(event(message, version)), "live", {"3", "4"}) is shown


def test_log_line_is_short() -> None:
    line = str(logs._line(event(json.dumps(REQUEST))))
    assert line.partition("  ")[2] == "INFO     version 3  200  0.12 ms  GET /"


def test_log_line_has_its_error_indented_below_it() -> None:
    failed = REQUEST | {"level": "ERROR", "status": 500, "error": "Traceback:\n  here\nValueError"}
    first, *error = str(logs._line(event(json.dumps(failed)))).splitlines()
    assert first.endswith("ERROR    version 3  500  0.12 ms  GET /")
    assert error == ["    Traceback:", "      here", "    ValueError"]


def test_log_line_of_another_service_may_lack_fields() -> None:
    assert "GET /x" in str(logs._line(event(json.dumps({"stage": "live", "route": "GET /x"}))))


def test_log_line_that_is_not_json_is_unchanged() -> None:
    assert str(logs._line(event("Task timed out\n\n"))).endswith("  version 3  Task timed out")


@pytest.mark.parametrize(("text", "ago"), [("15m", {"minutes": 15}), ("2h", {"hours": 2})])
def test_logs_since_is_a_time_in_the_past(text: str, ago: dict[str, int]) -> None:
    expected = datetime.datetime.now(datetime.UTC) - datetime.timedelta(**ago)
    assert abs(logs.since(text) - expected) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize("text", ["", "15", "m", "0m", "1d", "-5m", "1.5h", "15m "])
def test_logs_since_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number of minutes or hours, such as 15m or 2h"):
        logs.since(text)
