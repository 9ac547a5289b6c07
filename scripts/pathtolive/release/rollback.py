"""Return a stage to a version that it ran before."""

from __future__ import annotations

from pathtolive import config_file, recording, stack, stages
from pathtolive.cli import CommandError, RefusedError
from pathtolive.release import begin
from pathtolive.release.engine import Engine
from pathtolive.release.executions import ROLLBACK, SUCCEEDED, Execution, active_versions, brief, previous_version
from pathtolive.release.settings import Settings


def rollback(here: stack.Stack, stage: str, version: str | None) -> str:
    """Roll back, record it, and return the version that then has all the traffic of the stage.

    After an interruption, the same call continues the rollback.

    Raises:
        RefusedError: nothing was changed.
        CommandError: the rollback did not succeed, or could not be recorded.
    """
    engine = Engine(here)
    begin.check_stage(here, stage)
    running = engine.running(stage)
    if running and running.kind != ROLLBACK:
        previous = _abort(engine, running)
        if version in {None, previous}:
            print(f"All traffic of {stage} goes to version {previous}", flush=True)
            return previous
        running = None
    unrecorded = engine.unrecorded(stage)
    if running is None and unrecorded and unrecorded.kind == ROLLBACK:
        print(
            f"{unrecorded.name} succeeded, but config.tf does not record it. Recording it now. To roll back further, "
            "run the command again."
        )
        return _record(here, stage, unrecorded.to_version)
    ended = engine.wait(running or _start(engine, stage, version))
    if ended.outcome != SUCCEEDED:
        raise CommandError(
            f"The rollback of {stage} did not succeed ({ended.outcome}): {brief(ended.reason)}\n"
            f"Show the version of each stage with: make status{here.target.make_variables}"
        )
    return _record(here, stage, ended.to_version)


def _abort(engine: Engine, running: Execution) -> str:
    """Abort a release, wait for its rollback, and return the version that then has all traffic."""
    stage = running.settings.stage
    engine.abort(running)
    print(f"Aborted {running.name}. Waiting for its rollback ...", flush=True)
    ended = engine.wait(running)
    if ended.outcome == SUCCEEDED:
        raise CommandError(f"{running.name} succeeded before it was aborted. To roll back, run the command again.")
    return engine.alias(stage).version


def _start(engine: Engine, stage: str, version: str | None) -> Execution:
    """Start a rollback to a version, or to the previous version if it is None."""
    active = engine.active_version(stage)
    if version is None:
        past = list(engine.past(stage))
        version = previous_version(active_versions(reversed(past)), active)
        if version is None:
            raise RefusedError(
                f"The history of {stage} has no version before version {active}. Set the version to roll back to, such "
                "as VERSION=3."
            )
    if version == active:
        raise RefusedError(f"{stage} already runs version {version}. Set VERSION to another version.")
    if not engine.has_version(version):
        raise RefusedError(
            f"Version {version} of {engine.function_name} does not exist. Set VERSION to another version."
        )
    print(f"Rolling back {stage} from version {active} to version {version}", flush=True)
    given = Settings(stage, version, steps=(), smoke_test=False)
    return engine.start(ROLLBACK, given)


def _record(here: stack.Stack, stage: str, version: str) -> str:
    """Print that the rollback is complete before recording it, which takes longer. The routes stay."""
    print(f"All traffic of {stage} goes to version {version}", flush=True)
    here.read_config_again()
    recording.record(here, stage, config_file.Pin(version, stages.active(here)[stage].gateway_deployment))
    return version
