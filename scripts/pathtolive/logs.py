"""Read the log lines of a stage."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pathtolive import stack
from pathtolive.cli import CommandError
from pathtolive.release.aliases import Aliases

# Lambda's own lines about each invocation, which say nothing that metrics do not say.
# https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
PLATFORM = re.compile(r"^(INIT_START|START|END|REPORT) ")
# Lambda names a log stream date/[version]id.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html
STREAM_VERSION = re.compile(r"\[([^\]]+)\]")
# CloudWatch Logs may store an event some seconds after its time.
OVERLAP_MS = 30_000


@dataclass(frozen=True)
class Line:
    """A line of the log: when it was written, by which version, and its fields, or its text if it is not JSON."""

    at: datetime.datetime
    version: str
    text: str
    fields: dict[str, Any] | None

    def __str__(self) -> str:
        """The line for a terminal: an error is indented below it."""
        when = f"{self.at.astimezone():%H:%M:%S}"
        if self.fields is None:
            return f"{when}  version {self.version}  {self.text}"
        shown = "{level:<7}  version {version}  {status}  {ms:g} ms  {route}".format_map(Missing(self.fields))
        error = "".join(f"\n    {line}" for line in str(self.fields.get("error") or "").splitlines())
        return f"{when}  {shown}{error}"


class Missing(dict[str, Any]):
    """Fields of a line; a field that it lacks is 0, which every format takes."""

    def __missing__(self, _: str) -> int:
        return 0


class Logs:
    """The log of a stage. Each ``read`` returns the lines that are new since the last one.

    It returns the lines that name the stage. Lines without a stage, such as those of a timeout, come from Lambda: they
    are returned if the stage's alias points to their version.
    """

    def __init__(self, here: stack.Stack, stage: str, since: datetime.datetime) -> None:
        """Raise CommandError if the stage is not deployed."""
        if stage not in here.outputs["stages"]:
            raise CommandError(f"{stage} is not deployed. Run: make build deploy{here.target.make_variables}")
        self._stage = stage
        self._here = here
        self._logs = here.target.client("logs")
        function = here.target.client("lambda").get_function_configuration(FunctionName=here.outputs["function_name"])
        self._group = function["LoggingConfig"]["LogGroup"]
        self._start = int(since.timestamp() * 1000)
        self._seen: dict[str, int] = {}

    def read(self) -> Iterator[Line]:
        """Yield the new lines of the stage, oldest first."""
        alias = Aliases(self._here).read(self._stage)
        versions = {alias.version, *alias.weights}
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=self._group, startTime=self._start)
        for event in (event for page in pages for event in page["events"]):
            if event["eventId"] in self._seen:
                continue
            self._seen[event["eventId"]] = event["timestamp"]
            line = _line(event)
            if _is_of(line, self._stage, versions):
                yield line
        self._start = max(self._start, max(self._seen.values(), default=0) - OVERLAP_MS)
        self._seen = {event: at for event, at in self._seen.items() if at >= self._start}


def since(text: str) -> datetime.datetime:
    """Return the time that lies some minutes or hours back: ``15m``, ``2h``.

    Raises:
        ValueError: it is written in another way.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mh])", text)
    if match is None:
        raise ValueError(f"{text!r} is not a number of minutes or hours, such as 15m or 2h")
    unit = {"m": "minutes", "h": "hours"}[match[2]]
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(**{unit: int(match[1])})


def _line(event: dict[str, Any]) -> Line:
    text = event["message"].rstrip()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    stream = STREAM_VERSION.search(event["logStreamName"])
    return Line(
        datetime.datetime.fromtimestamp(event["timestamp"] / 1000, datetime.UTC),
        stream[1] if stream else "unknown",
        text,
        found if isinstance(found, dict) else None,
    )


def _is_of(line: Line, stage: str, versions: Collection[str]) -> bool:
    if line.fields is not None:
        return line.fields.get("stage") == stage
    return line.version in versions and not PLATFORM.match(line.text)
