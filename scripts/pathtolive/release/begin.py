"""Start a release or pick it up, follow it, and record it."""

from __future__ import annotations

import sys

import botocore.exceptions

from pathtolive import config_file, local_aws, recording, stack, stages
from pathtolive.cli import CommandError, LostSightError, RefusedError
from pathtolive.release.engine import Engine
from pathtolive.release.executions import RELEASE, RELEASED, ROLLBACK, Execution, Past
from pathtolive.release.settings import Settings, percents, read_settings
from pathtolive.release.view import confirmed, duration, watch

AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


def release(here: stack.Stack, given: Settings, *, yes: bool) -> Past:
    """Release, or go on with the release that is under way or was not recorded; return how it ended.

    ``given.version`` is empty for what the stage before it runs, with the routes of that one; where it is not, the
    routes stay.

    Raises:
        RefusedError: nothing was begun.
        LostSightError: it goes on, or it went well but could not be recorded.
        CommandError: it ended, and nothing took its weights back.
    """
    engine = Engine(here)
    try:
        begun = _begin(engine, given, yes=yes)
    except RefusedError:
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    version = f" VERSION={given.version}" if given.version else ""
    again = f"'make release STAGE={given.stage}{version}{here.target.make_variables}'"
    ended = watch(engine, begun, again) if isinstance(begun, Execution) else begun
    if ended.outcome == RELEASED:
        print(f"Released: {ended.reason}", flush=True)
        _record(engine, given.stage, ended, again, named=bool(given.version))
    return ended


def _begin(engine: Engine, given: Settings, *, yes: bool) -> Execution | Past:
    """Start a release, or return the one that is under way, or the one that was not recorded."""
    here, stage = engine.here, given.stage
    check_stage(here, stage)
    if running := engine.running(stage):
        if given.version not in {"", running.settings.version}:
            raise RefusedError(f"{running.name} is under way: {_end_it(here, stage)}")
        print(f"Picking up {running.name}")
        return running
    runs = settled(engine, stage)
    if unrecorded := engine.unrecorded(stage):
        if given.version not in {"", unrecorded.to_version}:
            raise RefusedError(
                f"{unrecorded.name} went well but is not recorded: do so first with "
                f"'make release STAGE={stage}{here.target.make_variables}'"
            )
        print(f"{unrecorded.name} went well, and is recorded now")
        return unrecorded
    version = given.version or _version_before(engine, stage)
    gateway_deployment = _routes(engine, stage, version, named=bool(given.version))
    if not engine.has_version(version):
        raise RefusedError(f"There is no version {version} of {engine.function_name}: 'make history STAGE={stage}'")
    if version == runs:
        raise RefusedError(
            f"{stage} runs version {version} already: nothing to release. Name another in VERSION=, or bring it routes "
            "with 'make promote'"
        )
    given = read_settings(given.input | {"version": version})
    _announce(engine, runs, engine.complete(given), gateway_deployment)
    if gateway_deployment != stages.active(here)[stage].gateway_deployment:
        _see_that_routes_can_be_brought(here, stage, config_file.Pin(version, gateway_deployment))
    if not yes and here.target.endpoint is None and sys.stdin.isatty() and not confirmed("Begin? (y/N) ", "y"):
        raise RefusedError("Nothing was begun")
    return engine.start(RELEASE, given)


def check_stage(here: stack.Stack, stage: str) -> None:
    """See that a stage has traffic to be shifted.

    Raises:
        RefusedError: there is no such stage, or it follows the newest.
    """
    if here.target.workspace != "default":
        raise RefusedError(f"Workspace {here.target.workspace} follows the newest in every stage: nothing to release")
    if config_file.NEWEST in {(pin := here.config.stage(stage)).function_version, pin.gateway_deployment}:
        raise RefusedError(f"{stage} follows the newest: 'make deploy' is what changes it")
    if stage not in here.outputs["stages"]:
        raise RefusedError(f"{stage} is not deployed yet: run 'make build deploy{here.target.make_variables}' first")


def settled(engine: Engine, stage: str) -> str:
    """Return the version that a stage runs, where no release of it is under way.

    Raises:
        RefusedError: it runs two, by weight.
    """
    runs = engine.alias(stage)
    if runs.weights:
        raise RefusedError(
            f"{stage} is between versions ({runs.version}, and {dict(runs.weights)} beside it), and no release of it "
            f"is under way: if nothing is taking that back just now, do so with '{engine.take_back_line(stage)}'"
        )
    return runs.version


def _end_it(here: stack.Stack, stage: str) -> str:
    return f"wait for it to end, or end it with 'make rollback STAGE={stage}{here.target.make_variables}'"


def _before(here: stack.Stack, stage: str) -> str | None:
    stages = list(here.config.stages)
    place = stages.index(stage)
    return stages[place - 1] if place else None


def _version_before(engine: Engine, stage: str) -> str:
    before = _before(engine.here, stage)
    if before is None:
        raise RefusedError(f"There is no stage before {stage} in config.tf: name a version, as in VERSION=4")
    runs = engine.alias(before)
    if runs.weights:
        raise RefusedError(
            f"{before} is between versions ({runs.version}, and {dict(runs.weights)} beside it): wait for the release "
            "to end, or name a version, as in VERSION=4"
        )
    return runs.version


def _routes(engine: Engine, stage: str, version: str, *, named: bool) -> str:
    """Return the gateway deployment that goes with a version: that of the stage before, where that one runs it."""
    here = engine.here
    before, found = _before(here, stage), stages.active(here)
    if named or before is None or found[before].version != version:
        return found[stage].gateway_deployment
    return recording.gateway_deployment(here, found[before].gateway_deployment)


def _see_that_routes_can_be_brought(here: stack.Stack, stage: str, pin: config_file.Pin) -> None:
    """Find what else there is to deploy before traffic is shifted, not after."""
    before = here.config
    recording.planned(here, recording.with_pin(before, stage, pin), only=(stage, pin.gateway_deployment), alias=True)
    here.write(before)


def _announce(engine: Engine, runs: str, given: Settings, gateway_deployment: str) -> None:
    steps, bake, more = given.steps or (), given.bake_seconds or 0, given.extensions or 0
    seconds = len(steps) * bake / local_aws.speed(engine.here.target.endpoint)
    after = {
        "hold": "it is held there until there are",
        "promote": "it goes on all the same",
        "rollback": "it is rolled back",
    }[given.when_inconclusive or "rollback"]
    shifts = ", then ".join([*(percents(step) for step in steps), "all"])
    lines = {
        "traffic": f"{shifts}{f'; {duration(bake)} each' if steps else ''}",
        "takes": f"about {duration(seconds)}, up to {duration(seconds * (1 + more))} where there are few calls"
        if steps
        else "a moment",
        "limits": f"{percents(given.max_error_rate or 0)} of its calls may fail, p99 {given.max_p99_ms:g} ms",
        "judged": f"from {given.min_calls} calls on; where {more} times longer brings no more, {after}",
        "alarms": f"ignored: {given.ignore_alarms}" if given.ignore_alarms else "one that fires rolls it back",
    }
    served = stages.active(engine.here)[given.stage].gateway_deployment
    if served != gateway_deployment:
        lines["routes"] = f"{gateway_deployment} instead of {served}, once it is released"
    print(f"Release of {given.stage}: from version {runs} to version {given.version}")
    for name, line in lines.items():
        print(f"  {name:<9}{line}")


def _record(engine: Engine, stage: str, ended: Past, again: str, *, named: bool) -> None:
    """Record a release that went well, with the routes of the stage before where there is nothing against them."""
    here = engine.here
    try:
        stays = stages.active(here)[stage].gateway_deployment
        routes = _routes(engine, stage, ended.to_version, named=named or ended.kind == ROLLBACK)
        try:
            recording.record(here, stage, config_file.Pin(ended.to_version, routes))
        except CommandError as error:
            if routes == stays:
                raise
            recording.record(here, stage, config_file.Pin(ended.to_version, stays))
            raise LostSightError(
                f"{stage} runs version {ended.to_version}, and config.tf says so, but its routes could not be brought: "
                f"{error}\nThen 'make promote FROM={_before(here, stage)} TO={stage}{here.target.make_variables}' "
                "brings them"
            ) from error
    except LostSightError:
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise LostSightError(
            f"{stage} runs version {ended.to_version}, but config.tf could not be made to say so: {error}\n"
            f"{again} tries that again"
        ) from error
