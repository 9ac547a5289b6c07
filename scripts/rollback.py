"""Bring a stage back to what it ran before: at once, or by ending the release of it that is under way."""

from __future__ import annotations

import argparse

import deploy
import pins
import recording
import release
import releases
import stack
import stages
import status
import target
from command import CommandError, RefusedError, main


def rollback(here: stack.Stack, stage: str, version: str | None) -> str:
    """Roll back, record it, and return the version that then has all the traffic of the stage.

    A roll-back that was interrupted is gone on with.

    Raises:
        RefusedError: nothing was begun.
        CommandError: traffic did not go back, or it did and could not be recorded.
    """
    engine = releases.Engine(here)
    release.check_stage(here, stage)
    running = engine.running(stage)
    if running and running.kind != releases.ROLLBACK:
        back = _abort(engine, running)
        if version in {None, back}:
            return back
        running = None
    unrecorded = engine.unrecorded(stage)
    if running is None and unrecorded and unrecorded.kind == releases.ROLLBACK:
        print(f"{unrecorded.name} went well, and is recorded now: run this again to go back further")
        return _record(here, stage, unrecorded.to_version)
    ended = engine.wait(running or _start(engine, stage, version))
    if ended.outcome != releases.RELEASED:
        raise CommandError(f"Not rolled back ({ended.outcome}): {ended.reason}\nRun 'make status' to see what runs")
    return _record(here, stage, ended.to_version)


def _abort(engine: releases.Engine, running: releases.Execution) -> str:
    stage = running.settings.stage
    engine.abort(running)
    print(f"{running.name} is aborted; waiting for all traffic to be back ...", flush=True)
    ended = engine.wait(running)
    if ended.outcome == releases.RELEASED:
        raise CommandError(
            f"{running.name} had shifted all traffic before it could be aborted: run the same again to go back"
        )
    return engine.alias(stage).version


def _start(engine: releases.Engine, stage: str, version: str | None) -> releases.Execution:
    runs = release.settled(engine, stage)
    if version is None:
        past = list(engine.past(stage))
        version = releases.before(releases.versions(reversed(past)), runs)
        if version is None:
            raise RefusedError(f"What {stage} ran before version {runs} is not known: name it, as in VERSION=3")
    if version == runs:
        raise RefusedError(f"{stage} runs version {version} already: name another in VERSION=")
    if not engine.has_version(version):
        raise RefusedError(f"There is no version {version} of {engine.function_name}: name another in VERSION=")
    print(f"{stage} goes back from version {runs} to version {version} ...", flush=True)
    given = releases.Settings(stage, version, steps=(), smoke_test=False)
    return engine.start(releases.ROLLBACK, given)


def _record(here: stack.Stack, stage: str, version: str) -> str:
    """Record it; the routes stay."""
    recording.record(here, stage, pins.Pin(version, stages.active(here)[stage].gateway_deployment))
    return version


def command() -> int:
    """Return 0 where all traffic is back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True, help="which stage goes back")
    parser.add_argument("--version", metavar="NUMBER", help="to which version (the one that it ran before)")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    deploy.pin(here)
    version = rollback(here, options.stage, options.version)
    print(f"All traffic of {options.stage} goes to version {version}")
    status.show(here)
    return 0


if __name__ == "__main__":
    main(command)
