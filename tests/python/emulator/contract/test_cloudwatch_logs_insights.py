"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.python.emulator.contract.support import Client, Function
from tests.waiting import eventually

# A minute that is over, so that it is one period of bin(1m).
MINUTE = int(time.time()) // 60 * 60 - 600


@dataclass
class Log:
    """A log group, the events that a test writes to it, and the queries over them."""

    api: Any
    group: str = field(default_factory=lambda: f"contract-{uuid.uuid4().hex[:8]}")
    began: int = MINUTE

    def write(self, *messages: str | dict[str, Any], at: int = MINUTE) -> None:
        """Write one event a second."""
        events = [
            {
                "timestamp": (at + second) * 1000,
                "message": message if isinstance(message, str) else json.dumps(message),
            }
            for second, message in enumerate(messages)
        ]
        self.api.put_log_events(logGroupName=self.group, logStreamName="it", logEvents=events)

    def query(self, query: str, expected: int = 1, **more: Any) -> list[dict[str, str]]:
        """Return the rows of a query when there are at least ``expected``; AWS indexes events after a moment."""
        return eventually(lambda: rows if len(rows := self.results(query, **more)) >= expected else None)

    def results(self, query: str, **more: Any) -> list[dict[str, str]]:
        started = self.api.start_query(
            logGroupName=self.group, startTime=self.began - 60, endTime=self.began + 600, queryString=query, **more
        )["queryId"]

        def complete() -> Any:
            found = self.api.get_query_results(queryId=started)
            return found if found["status"] == "Complete" else None

        rows = eventually(complete)["results"]
        return [{one["field"]: one["value"] for one in row if one["field"] != "@ptr"} for row in rows]

    def column(self, query: str, name: str, expected: int = 1) -> list[str | None]:
        return [row.get(name) for row in self.query(query, expected)]


@pytest.fixture
def log(client: Client) -> Iterator[Log]:
    made = Log(client("logs"))
    made.api.create_log_group(logGroupName=made.group)
    made.api.create_log_stream(logGroupName=made.group, logStreamName="it")
    yield made
    made.api.delete_log_group(logGroupName=made.group)


def numbers(row: dict[str, str], *names: str) -> list[float]:
    return [float(row[name]) for name in names]


def test_query_without_fields_shows_whole_messages(log: Log) -> None:
    log.write("hello", at=MINUTE)
    assert log.query("limit 5") == [
        {"@timestamp": time.strftime("%Y-%m-%d %H:%M:%S.000", time.gmtime(MINUTE)), "@message": "hello"}
    ]


def test_fields_of_json_are_discovered_by_their_path(log: Log) -> None:
    log.write({"level": "INFO", "user": {"name": "Ada"}, "items": [{"id": 7}], "none": None})
    assert log.query("fields level, user.name, items.0.id as id, none, absent, @logStream") == [
        {"level": "INFO", "user.name": "Ada", "id": "7", "@logStream": "it"}
    ]


def test_field_with_special_characters_is_in_backticks(log: Log) -> None:
    log.write({"foo-bar": 1}, {"foo-bar": 2})
    assert log.query("fields `foo-bar` | filter `foo-bar` > 1") == [{"foo-bar": "2"}]


def test_fields_of_lambda_reports_are_discovered(function: Function) -> None:
    function.create("def handler(event, context): print('said')")
    function.call("it")
    query = 'fields @requestId, @duration, @billedDuration, @initDuration | filter @type = "REPORT"'
    report = Log(function.client("logs"), f"/aws/lambda/{function.name}", int(time.time()))
    try:
        (row,) = report.query(query)
        assert uuid.UUID(row["@requestId"])
        assert 0 < float(row["@duration"]) <= float(row["@billedDuration"])
        assert float(row["@initDuration"]) > 0
    finally:
        report.api.delete_log_group(logGroupName=report.group)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('level = "ERROR"', ["b", "c"]),
        ("level = 'INFO'", ["a"]),
        ('level != "ERROR" and ispresent(level)', ["a"]),
        ("ms > 9", ["b", "c"]),
        ("ms >= 10 and ms < 200", ["b"]),
        # A text that looks like a number is compared as one: as a text, "10" would be less than "9".
        ("text > 9", ["b"]),
        ('level = "ERROR" and ms <= 10 or ms < 9', ["a", "b"]),
        ('level = "ERROR" and (ms <= 10 or ms < 9)', ["b"]),
        ("@message like /path|died$/", ["b", "d"]),
        ("@message like /(?i)DIED/", ["d"]),
        ("@message =~ /^it/", ["d"]),
        ("@message =~ /^(?i)IT/", ["d"]),
        (r"@message like /\/path/", ["b"]),
        ('@message like "i.d"', []),
        ('@message like "it d"', ["d"]),
        ("@message not like /level/", ["d"]),
        ('not (level = "ERROR") and ispresent(level)', ["a"]),
    ],
)
def test_filter_keeps_the_events_that_meet_a_condition(log: Log, condition: str, found: Sequence[str]) -> None:
    log.write(
        {"id": "a", "level": "INFO", "ms": 8, "text": "9", "note": "at"},
        {"id": "b", "level": "ERROR", "ms": 10, "text": "10", "note": "/path"},
        {"id": "c", "level": "ERROR", "ms": 200},
        "it died",
    )
    assert len(log.query("limit 9", 4)) == 4
    rows = log.results(f"fields id | filter {condition} | sort @timestamp")
    assert [row.get("id", "d") for row in rows] == found


@pytest.mark.parametrize(
    "command",
    [
        'parse @message "user=*, method:*, latency := *" as user, method, latency',
        r"parse @message /user=(?<user>.*?), method:(?<method>.*?), latency := (?<latency>\d+)/",
    ],
)
def test_parse_adds_parts_of_a_field(log: Log, command: str) -> None:
    log.write("user=Ada, method:GET, latency := 12", "other", {"user": 1})
    rows = log.query(f"{command} | fields user, method, latency | sort @timestamp", 2)
    assert [row for row in rows if row] == [{"user": "Ada", "method": "GET", "latency": "12"}, {"user": "1"}]


def test_parse_reads_text_that_contains_json(log: Log) -> None:
    log.write({"cause": json.dumps({"reason": "Too many errors", "to": "7"})})
    assert log.query(r'parse @message /reason\\": *\\"(?<reason>.*?)\\"/ | fields reason') == [
        {"reason": "Too many errors"}
    ]


def test_parse_reads_any_field(log: Log) -> None:
    log.write({"arn": "arn:aws:states:eu-west-2:1:execution:machine:name"})
    assert log.query('parse arn "*:execution:*:*" as rest, machine, name | fields machine, name') == [
        {"machine": "machine", "name": "name"}
    ]


def test_stats_are_of_all_events_without_groups(log: Log) -> None:
    log.write({"ms": 1}, {"ms": 2}, {"ms": 6}, {"other": 1})
    assert len(log.query("limit 9", 4)) == 4
    (row,) = log.query(
        "stats count(*) as all, count(ms) as some, count_distinct(ms) as unlike, sum(ms) as total, avg(ms) as mean, "
        "min(ms) as least, max(ms) as most"
    )
    assert numbers(row, "all", "some", "unlike", "total", "mean", "least", "most") == [4, 3, 3, 9, 3, 1, 6]


def test_stats_are_by_the_values_of_fields(log: Log) -> None:
    log.write(*({"status": status, "route": "/"} for status in (500, 200, 500, 502)))
    assert len(log.query("limit 9", 4)) == 4
    rows = log.query("filter status >= 500 | stats count(*) as errors by status, route | sort errors desc", 2)
    assert rows == [
        {"status": "500", "route": "/", "errors": "2"},
        {"status": "502", "route": "/", "errors": "1"},
    ]


def test_stats_have_a_percentile(log: Log) -> None:
    log.write(*({"ms": ms} for ms in range(1, 101)), at=MINUTE - 60)
    assert len(log.query("limit 200", 100)) == 100
    (row,) = log.query("stats pct(ms, 50) as p50, pct(ms, 99) as p99")
    assert numbers(row, "p50", "p99") == pytest.approx([50, 99], abs=1)


def test_stats_are_by_the_start_of_a_period(log: Log) -> None:
    log.write("first", "second")
    log.write("third", at=MINUTE + 120)
    assert len(log.query("limit 9", 3)) == 3
    rows = log.query("stats count(*) as events by bin(1m) as minute | sort minute desc", 2)
    times = [time.strftime("%Y-%m-%d %H:%M:00.000", time.gmtime(moment)) for moment in (MINUTE + 120, MINUTE)]
    assert rows == [{"minute": times[0], "events": "1"}, {"minute": times[1], "events": "2"}]


def test_sort_compares_numbers_as_numbers(log: Log) -> None:
    log.write({"ms": 10}, {"ms": 9}, {"ms": 100})
    assert log.column("fields ms | sort ms", "ms", 3) == ["9", "10", "100"]
    assert log.column("fields ms | sort ms desc | limit 2", "ms", 2) == ["100", "10"]


def test_limit_of_the_request_applies_too(log: Log) -> None:
    log.write("a", "b", "c")
    assert len(log.query("limit 9", 3)) == 3
    assert len(log.results("limit 9", limit=2)) == 2


@pytest.mark.parametrize(
    "query",
    ["filter", "fields @message | filter level >", "stats ms", "nonsense @message", 'parse @message "*" as a, b'],
)
def test_query_that_cannot_be_parsed_is_refused(log: Log, query: str) -> None:
    with pytest.raises(log.api.exceptions.MalformedQueryException):
        log.results(query)


def test_query_of_a_log_group_that_does_not_exist_is_refused(log: Log) -> None:
    with pytest.raises(log.api.exceptions.ResourceNotFoundException):
        log.api.start_query(logGroupName="contract-none", startTime=0, endTime=MINUTE, queryString="limit 1")
