"""What a reviewer reads: the commits that a release brings to a stage, and what the release found."""

from __future__ import annotations

from pathtolive import remote, stack, stages, status
from pathtolive.cli import CommandError
from pathtolive.release import view
from pathtolive.release.engine import Engine
from pathtolive.release.settings import Settings


def commits(here: stack.Stack, stage: str, revision: str) -> tuple[str, list[str]]:
    """Return a title and the subjects of the commits that a stage does not have, newest first."""
    url = here.stage_url(stage)
    active = stages.active(here)[stage]
    found = status.commit(url, active.version)
    if not found:
        return f"{stage} runs version {active.version}, whose commit is not known", []
    try:
        listed = remote.git("log", "--format=%h %s (%an)", f"{found}..{revision}").splitlines()
    except CommandError:
        return f"{stage} runs version {active.version} of commit {found[:7]}, which this clone does not have", []
    return f"Commits since version {active.version} of {stage}, commit {found[:7]}: {len(listed)}", listed


def outcome(here: stack.Stack, stage: str, version: str | None) -> tuple[str, list[str]]:
    """Return a title and lines about the last release of a stage: its outcome, reason, and metrics.

    A release of another version than ``version`` is an earlier one: if there is no newer one, none has started.
    """
    engine = Engine(here, stage)
    last = next(engine.past(), None)
    if last is None:
        return f"{stage} has no releases", []
    if version and last.to_version != version:
        return f"No release of version {version} to {stage} has started", []
    given = engine.machine.complete(Settings(stage, last.to_version))
    lines = [last.reason]
    for measured in filter(None, [last.to_version, last.from_version]):
        metrics = engine.metrics(given, measured, last.started)
        lines.append(view.counts(metrics, measured))
    return f"{last.name}: {last.outcome}", lines
