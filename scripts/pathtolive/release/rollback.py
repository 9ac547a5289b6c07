"""Return a stage to a version that it ran before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pathtolive import recording, stack
from pathtolive.cli import CommandError, RefusedError
from pathtolive.release import begin, view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import (
    REFUSED,
    ROLLBACK,
    SUCCEEDED,
    Execution,
    Past,
    active_versions,
    previous_version,
)
from pathtolive.release.machine import MissingMachineError
from pathtolive.release.settings import Settings
from pathtolive.release.weights import abort, failed, remove_weights

# A rollback that is repeated within this time is perhaps meant to complete the one before.
RECENT = timedelta(hours=1)


def rollback(here: stack.Stack, stage: str, version: str | None) -> None:
    """Roll back, then record it: whatever config.tf contains, the traffic shifts first.

    After an interruption, the same call continues the rollback.

    Raises:
        RefusedError: nothing was changed.
        LostSightError: the rollback continues without this command.
        UnrecordedError: the rollback succeeded, but could not be recorded.
        CommandError: the rollback did not succeed.
    """
    engine = Engine(here, stage)
    _check_stage(here, stage)
    try:
        running = engine.machine.running()
    except MissingMachineError as error:
        _record(here, stage, _without_machine(engine, version, error))
        return
    again = f"make rollback STAGE={stage}{f' VERSION={version}' if version else ''}{here.target.make_variables}"
    previous = None
    if running is None:
        previous = remove_weights(engine, again)
    elif running.kind != ROLLBACK:
        previous = abort(engine, running, again)
        running = None
    if previous and version in {None, previous}:
        print(f"All traffic of {stage} goes to version {previous}", flush=True)
        return
    unrecorded = _unrecorded(engine)
    finished = unrecorded and unrecorded.kind == ROLLBACK and version in {None, unrecorded.to_version}
    if running is None and unrecorded and finished:
        print(
            f"{unrecorded.name} succeeded, but it is not recorded. Recording it now. To roll back further, set VERSION."
        )
        _record(here, stage, unrecorded.to_version)
        return
    ended = view.follow(engine, running or _start(engine, version, again), again)
    if ended.outcome != SUCCEEDED:
        raise failed(engine, ended)
    _record(here, stage, ended.to_version)


def _check_stage(here: stack.Stack, stage: str) -> None:
    """Verify that a stage can be rolled back, without config.tf if it cannot be read."""
    if here.target.workspace == "default" and stage in here.outputs["stages"]:
        try:
            _ = here.config.stages
        except CommandError:
            return
    begin.check_stage(here, stage)


def _unrecorded(engine: Engine) -> Past | None:
    """Return the release that config.tf does not record, or None if config.tf cannot be read."""
    try:
        return engine.unrecorded()
    except CommandError:
        return None


def _without_machine(engine: Engine, version: str | None, error: CommandError) -> str:
    """Move the alias without the state machine, and return its version."""
    alias = engine.aliases.read(engine.stage)
    version = version or (alias.version if alias.weights else None)
    if version is None:
        raise RefusedError(f"{error}\nTo roll back without it, set the version, such as VERSION=3.")
    _check_version(engine, version)
    engine.aliases.move(engine.stage, version)
    return version


def _start(engine: Engine, version: str | None, again: str) -> Execution:
    """Start a rollback to a version, or to the previous version if it is None."""
    stage, active = engine.stage, engine.active_version()
    if version is None:
        past = list(engine.past())
        version = previous_version(active_versions(reversed(past)), active)
        refuse_repetition(engine, past, active, version)
        if version is None:
            raise RefusedError(
                f"The history of {stage} has no version before version {active}. Set the version to roll back to, such "
                "as VERSION=3."
            )
    if version == active:
        raise RefusedError(f"{stage} already runs version {version}. Set VERSION to another version.")
    _check_version(engine, version)
    print(f"Rolling back {stage} from version {active} to version {version}", flush=True)
    given = Settings(stage, version, steps=(), smoke_test=False)
    return engine.machine.start(ROLLBACK, given, again)


def refuse_repetition(engine: Engine, past: Sequence[Past], active: str, previous: str | None) -> None:
    """Refuse to go back further than a recent rollback: perhaps only the command was interrupted.

    Raises:
        RefusedError: the last change of the stage was a rollback, or a release that was rolled back.
    """
    stage = engine.stage
    last = next((one for one in past if one.outcome != REFUSED), None)
    at = last.returned or last.ended if last else None
    if last is None or at is None or datetime.now(UTC) - at > RECENT:
        return
    repeated = last.kind == ROLLBACK and (last.outcome, last.to_version) == (SUCCEEDED, active)
    if repeated or (last.kind != ROLLBACK and last.outcome != SUCCEEDED and last.from_version == active):
        further = f"make rollback STAGE={stage} VERSION={previous}{engine.here.target.make_variables}"
        versions = f"make history STAGE={stage}{engine.here.target.make_variables}"
        raise RefusedError(
            f"{stage} has been running version {active} again since {at.astimezone():%H:%M:%S} "
            f"({last.name} {last.word}). "
            + (f"To roll back further, run: {further}" if previous else f"For other versions, run: {versions}")
        )


def _check_version(engine: Engine, version: str) -> None:
    if not engine.aliases.has_version(version):
        raise RefusedError(
            f"Version {version} of {engine.aliases.function_name} does not exist. Set VERSION to another version."
        )


def _record(here: stack.Stack, stage: str, version: str) -> None:
    """Print that the rollback is complete before recording it, which takes longer. The routes stay."""
    print(f"All traffic of {stage} goes to version {version}", flush=True)
    recording.record(here, stage, version)
