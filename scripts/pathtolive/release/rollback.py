"""Return a stage to a version that it ran before."""

from __future__ import annotations

from pathtolive import config_file, recording, stack, stages
from pathtolive.cli import CommandError, RefusedError
from pathtolive.release import begin
from pathtolive.release.engine import Engine
from pathtolive.release.executions import RELEASED, ROLLBACK, Execution, active_versions, previous_version
from pathtolive.release.settings import Settings


def rollback(here: stack.Stack, stage: str, version: str | None) -> str:
    """Roll back, record it, and return the version that then has all the traffic of the stage.

    A roll-back that was interrupted is gone on with.

    Raises:
        RefusedError: nothing was begun.
        CommandError: traffic did not go back, or it did and could not be recorded.
    """
    engine = Engine(here)
    begin.check_stage(here, stage)
    running = engine.running(stage)
    if running and running.kind != ROLLBACK:
        back = _abort(engine, running)
        if version in {None, back}:
            print(f"All traffic of {stage} goes to version {back}", flush=True)
            return back
        running = None
    unrecorded = engine.unrecorded(stage)
    if running is None and unrecorded and unrecorded.kind == ROLLBACK:
        print(f"{unrecorded.name} went well, and is recorded now: run this again to go back further")
        return _record(here, stage, unrecorded.to_version)
    ended = engine.wait(running or _start(engine, stage, version))
    if ended.outcome != RELEASED:
        raise CommandError(f"Not rolled back ({ended.outcome}): {ended.reason}\nRun 'make status' to see what runs")
    return _record(here, stage, ended.to_version)


def _abort(engine: Engine, running: Execution) -> str:
    stage = running.settings.stage
    engine.abort(running)
    print(f"{running.name} is aborted; waiting for all traffic to be back ...", flush=True)
    ended = engine.wait(running)
    if ended.outcome == RELEASED:
        raise CommandError(
            f"{running.name} had shifted all traffic before it could be aborted: run the same again to go back"
        )
    return engine.alias(stage).version


def _start(engine: Engine, stage: str, version: str | None) -> Execution:
    runs = begin.settled(engine, stage)
    if version is None:
        past = list(engine.past(stage))
        version = previous_version(active_versions(reversed(past)), runs)
        if version is None:
            raise RefusedError(f"What {stage} ran before version {runs} is not known: name it, as in VERSION=3")
    if version == runs:
        raise RefusedError(f"{stage} runs version {version} already: name another in VERSION=")
    if not engine.has_version(version):
        raise RefusedError(f"There is no version {version} of {engine.function_name}: name another in VERSION=")
    print(f"Rolling {stage} back from version {runs} to version {version}", flush=True)
    given = Settings(stage, version, steps=(), smoke_test=False)
    return engine.start(ROLLBACK, given)


def _record(here: stack.Stack, stage: str, version: str) -> str:
    """Say that traffic is back, which people wait for, then record it; the routes stay."""
    print(f"All traffic of {stage} goes to version {version}", flush=True)
    recording.record(here, stage, config_file.Pin(version, stages.active(here)[stage].gateway_deployment))
    return version
