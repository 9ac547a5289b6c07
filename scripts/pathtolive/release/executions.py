"""Executions of the state machine: what their names, inputs, and outputs say."""

from __future__ import annotations

import datetime
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pathtolive.cli import RefusedError
from pathtolive.release.settings import Settings

RELEASE, PROMOTE, ROLLBACK = "release", "promote", "rollback"
RELEASED, ROLLED_BACK, UNDER_WAY = "released", "rolled back", "under way"
RUNNING = "RUNNING"
NAME = re.compile(
    rf"(?P<stage>.+)-(?P<kind>{RELEASE}|{PROMOTE}|{ROLLBACK})-(?P<version>[1-9]\d*)-\d{{8}}T\d{{6}}Z-[0-9a-f]{{4}}"
)
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
MAX_NAME = 80


@dataclass(frozen=True)
class Report:
    """How a release ended, as the state machine tells it; ``release`` names the one whose weights were taken back."""

    outcome: str
    from_version: str
    to_version: str
    reason: str
    release: str


def read_report(text: str | None) -> Report | None:
    """Read the output of an execution that succeeded, or the cause of one that failed; None where it is no report."""
    try:
        content = json.loads(text or "")
        return Report(*(str(content[name]) for name in ("outcome", "from", "to", "reason", "release")))
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Execution:
    """An execution of the state machine, as AWS describes it.

    ``takes_back`` names the execution whose weights it takes back, where an event started it: ``settings`` are then
    those of that one.
    """

    arn: str
    name: str
    kind: str
    settings: Settings
    takes_back: str | None
    status: str
    started: datetime.datetime
    ended: datetime.datetime | None
    report: Report | None
    cause: str

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.status == RUNNING


@dataclass(frozen=True)
class Past:
    """A release, promotion or roll-back of a stage as history tells it; under way where it has not ended."""

    name: str
    kind: str
    from_version: str | None
    to_version: str
    started: datetime.datetime
    ended: datetime.datetime | None
    outcome: str
    reason: str


@dataclass(frozen=True)
class Alias:
    """What an alias runs, and the shares of traffic that other versions get beside it."""

    version: str
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Figures:
    """A version's own calls by way of one alias, and how long all but one in a hundred of them took."""

    calls: int = 0
    errors: int = 0
    p99_ms: float = 0.0

    @property
    def error_rate(self) -> float:
        """Share of the calls that failed."""
        return self.errors / self.calls if self.calls else 0.0


def execution_name(kind: str, stage: str, version: str, at: datetime.datetime) -> str:
    """Return a name for an execution, which says what it does: ``live-release-7-20261124T080000Z-1a2b``.

    Raises:
        RefusedError: the stage's name leaves no room for it.
    """
    name = f"{stage}-{kind}-{version}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    if len(name) > MAX_NAME:
        raise RefusedError(
            f"Stage {stage} has too long a name: with it, {name} has more than the {MAX_NAME} characters that the "
            "name of an execution may have. Give the stage a shorter one."
        )
    return name


def origin(text: str, name: str) -> tuple[dict[str, Any], str, str | None]:
    """Return the settings of a release, its name, and that name again where the input is the event of its end.

    The execution that ended may have been a roll-back itself, so events lie inside events.
    """
    takes_back = None
    while True:
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            return {}, name, takes_back
        detail = content.get("detail")
        if not isinstance(detail, dict) or "input" not in detail:
            return content, name, takes_back
        text, name = detail["input"], detail["name"]
        takes_back = name


def summarize(execution: Execution, taken_back: Report | None) -> Past:
    """Return how an execution ended, given the report of the roll-back of it, where there was one."""
    report = execution.report or taken_back
    outcomes = {RUNNING: UNDER_WAY, "ABORTED": "aborted", "TIMED_OUT": "timed out"}
    outcome = outcomes.get(execution.status, execution.status.lower())
    reason = execution.cause
    if report and (execution.report or report.outcome == RELEASED or execution.status not in outcomes):
        outcome, reason = report.outcome, execution.cause if not execution.report else report.reason
    return Past(
        name=execution.name,
        kind=execution.kind,
        from_version=report.from_version or None if report else None,
        to_version=execution.settings.version,
        started=execution.started,
        ended=execution.ended,
        outcome=outcome,
        reason=reason,
    )


def active_versions(past: Iterable[Past]) -> list[str]:
    """Return the versions that a stage ran, read as a stack, from its releases in the order in which they were made.

    A release or promotion puts its version on top of the one it came from; a roll-back takes the bad one off, so that
    it is not what ran before any more.
    """
    found: list[str] = []
    for one in past:
        if one.outcome != RELEASED:
            continue
        # Terraform may have moved the alias in between.
        if one.from_version and found[-1:] != [one.from_version]:
            found.append(one.from_version)
        if one.kind == ROLLBACK:
            found = found[:-1]
            if one.to_version in found:
                while found[-1] != one.to_version:
                    found.pop()
        if found[-1:] != [one.to_version]:
            found.append(one.to_version)
    return found


def previous_version(found: list[str], runs: str) -> str | None:
    """Return what a stage ran before what it runs now, or None where that is not known."""
    if found[-1:] == [runs]:
        found = found[:-1]
    return found[-1] if found else None
