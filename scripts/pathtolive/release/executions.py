"""Executions of the state machine: what their names, inputs, and outputs mean."""

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
IN_PROGRESS, SUCCEEDED, ROLLED_BACK, REFUSED = "in progress", "succeeded", "rolled back", "refused"
RUNNING = "RUNNING"
# What allows a release in spite of an error of the state machine.
REMEDIES = {
    "AlarmFiring": "IGNORE_ALARMS_REASON",
    "Frozen": "IGNORE_FREEZE_REASON",
    "RejectedVersion": "REASON",
}
RELEASED, PROMOTED, FAILED = "released", "promoted", "failed"
# How the reason of a release with too few invocations starts.
INCONCLUSIVE = "Inconclusive: "
NAME = re.compile(
    rf"(?P<stage>.+)-(?P<kind>{RELEASE}|{PROMOTE}|{ROLLBACK})-(?P<version>[1-9]\d*)-\d{{8}}T\d{{6}}Z-[0-9a-f]{{4}}"
)
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
MAX_NAME = 80


@dataclass(frozen=True)
class Report:
    """The result that the state machine returns. ``release`` names the execution that shifted the traffic.

    ``metrics`` and ``odds`` are those of the last analysis, or None if it had no invocations to analyze.
    """

    outcome: str
    from_version: str
    to_version: str
    reason: str
    release: str
    metrics: Mapping[str, Any] | None = None
    odds: float | None = None


def read_report(text: str | None) -> Report | None:
    """Return the report in the output of a successful execution or the cause of a failed one, or None."""
    try:
        content = json.loads(text or "")
        outcome, before, after, reason, release = (
            str(content[name]) for name in ("outcome", "from", "to", "reason", "release")
        )
        metrics = content.get("metrics", {})
        analyzed = any(one["invocations"] or one["baseline_invocations"] for one in metrics.values())
        figures = (metrics, content["odds"]) if analyzed else (None, None)
        return Report(outcome, before, after, reason, release, *figures)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class Execution:
    """An execution of the state machine, as AWS describes it.

    If the end of another execution started it, ``rolls_back`` is the name of that one, and ``settings`` are empty.
    """

    arn: str
    name: str
    kind: str
    settings: Settings
    rolls_back: str | None
    status: str
    started: datetime.datetime
    ended: datetime.datetime | None
    report: Report | None
    cause: str
    error: str | None = None

    @property
    def running(self) -> bool:
        """Whether it is in progress."""
        return self.status == RUNNING

    @property
    def noun(self) -> str:
        """What people call it: a release, a promotion, or a rollback."""
        return "promotion" if self.kind == PROMOTE else self.kind


@dataclass(frozen=True)
class Past:
    """A release, promotion, or rollback in the history of a stage. If it is in progress, ``ended`` is None.

    ``returned`` is the time at which another execution had removed its weights, if there was one.
    """

    name: str
    kind: str
    from_version: str | None
    to_version: str
    started: datetime.datetime
    ended: datetime.datetime | None
    outcome: str
    reason: str
    error: str | None = None
    metrics: Mapping[str, Any] | None = None
    odds: float | None = None
    returned: datetime.datetime | None = None

    @property
    def word(self) -> str:
        """The outcome as people say it: ``released``, ``promoted``, ``rolled back to 4``, or the outcome itself."""
        if self.outcome == SUCCEEDED:
            return {RELEASE: RELEASED, PROMOTE: PROMOTED}.get(self.kind, f"{ROLLED_BACK} to {self.to_version}")
        if self.outcome != ROLLED_BACK:
            return self.outcome
        # A rollback that fails leaves the version that was to be replaced.
        if self.kind == ROLLBACK:
            return FAILED
        return f"{ROLLED_BACK} to {self.from_version}" if self.from_version else ROLLED_BACK


def execution_name(kind: str, stage: str, version: str, at: datetime.datetime) -> str:
    """Return a name for an execution, such as ``live-release-7-20261124T080000Z-1a2b``.

    Raises:
        RefusedError: the name would be too long.
    """
    name = f"{stage}-{kind}-{version}-{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    if len(name) > MAX_NAME:
        raise RefusedError(
            f"The name of the stage {stage} is too long: the name of an execution, {name}, can have {MAX_NAME} "
            "characters. Choose a shorter name for the stage."
        )
    return name


def read_input(text: str) -> tuple[dict[str, Any], str | None]:
    """Return the settings in an execution's input, and the name of the execution that it rolls back, or None."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        return {}, None
    if "rolls_back" in content:
        return {}, str(content["rolls_back"])
    return content, None


def summarize(execution: Execution, rollback: Execution | None) -> Past:
    """Return an execution as history shows it, given its rollback, if there was one."""
    report = execution.report or (rollback.report if rollback else None)
    outcomes = {RUNNING: IN_PROGRESS, "ABORTED": "aborted", "TIMED_OUT": "timed out"}
    outcome = outcomes.get(execution.status, execution.status.lower())
    reason = execution.cause
    if report and (execution.report or report.outcome == SUCCEEDED or execution.status not in outcomes):
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
        error=execution.error,
        metrics=report.metrics if report else None,
        odds=report.odds if report else None,
        returned=rollback.ended if rollback else None,
    )


def remedy(refused: Past) -> str:
    """Return a line with the variable that sets what the reason of a refusal names, or an empty text."""
    variable = REMEDIES.get(refused.error or "")
    return f"\nSet it with: {variable}=..." if variable else ""


def continues(name: str, again: str) -> str:
    """Return a sentence about an execution that no command watches, and the command line that follows it again."""
    return f"{name} continues without this command. To follow it again, run: {again}"


def brief(reason: str) -> str:
    """Return a reason without the stack trace of a function's error, which Lambda adds as JSON.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """
    start = reason.find('{"errorMessage"')
    try:
        message = str(json.loads(reason[start:])["errorMessage"]) if start >= 0 else ""
    except (ValueError, KeyError, TypeError):
        message = ""
    return f"{reason[:start]}{message}" if message else reason


def active_versions(past: Iterable[Past]) -> list[str]:
    """Return the versions that a stage ran, as a stack, from its releases in the order of their start.

    A release or promotion puts its version on top of the version that it replaced. A rollback removes the failed
    version, so that a second rollback does not return to it.
    """
    found: list[str] = []
    for one in past:
        if one.outcome != SUCCEEDED:
            continue
        # Terraform can have moved the alias between two releases.
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


def previous_version(found: list[str], active: str) -> str | None:
    """Return the previous version of a stage that runs the version ``active``, or None if it is not known."""
    if found[-1:] == [active]:
        found = found[:-1]
    return found[-1] if found else None
