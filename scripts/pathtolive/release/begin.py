"""Start a release or follow one in progress, and record it."""

from __future__ import annotations

import sys

import botocore.exceptions

from pathtolive import config_file, local_aws, recording, stack, stages
from pathtolive.cli import CommandError, RefusedError, UnrecordedError
from pathtolive.release.engine import Engine
from pathtolive.release.executions import RELEASE, ROLLBACK, SUCCEEDED, Execution, Past
from pathtolive.release.settings import Settings, percents, read_settings
from pathtolive.release.view import confirmed, duration, watch

AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


def release(here: stack.Stack, given: Settings, *, yes: bool) -> Past:
    """Return the outcome of a release: a new one, the one in progress, or the last one if it is not recorded.

    If ``given.version`` is empty, the stage gets the version and the routes of the previous stage. Otherwise, it keeps
    its routes.

    Raises:
        RefusedError: nothing was changed.
        LostSightError: the release continues without this command.
        UnrecordedError: the release succeeded, but could not be recorded.
        CommandError: the release ended, but its rollback did not complete.
    """
    engine = Engine(here)
    try:
        started = _start(engine, given, yes=yes)
    except RefusedError:
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    version = f" VERSION={given.version}" if given.version else ""
    again = f"make release STAGE={given.stage}{version}{here.target.make_variables}"
    ended = watch(engine, started, again) if isinstance(started, Execution) else started
    if ended.outcome == SUCCEEDED:
        print(f"Succeeded: {ended.reason}", flush=True)
        _record(engine, given.stage, ended, again, named=bool(given.version))
    return ended


def _start(engine: Engine, given: Settings, *, yes: bool) -> Execution | Past:
    """Return a release that was started, the one in progress, or the last one if it is not recorded."""
    here, stage = engine.here, given.stage
    check_stage(here, stage)
    if running := engine.running(stage):
        if given.version not in {"", running.settings.version}:
            raise RefusedError(engine.in_progress_error(running))
        return running
    active = engine.active_version(stage)
    if unrecorded := engine.unrecorded(stage):
        if given.version not in {"", unrecorded.to_version}:
            raise RefusedError(
                f"{unrecorded.name} succeeded, but config.tf does not record it. Record it with: "
                f"make release STAGE={stage}{here.target.make_variables}"
            )
        print(f"{unrecorded.name} succeeded, but config.tf does not record it. Recording it now.")
        return unrecorded
    version = given.version or _promoted_version(engine, stage)
    gateway_deployment = _routes(engine, stage, version, named=bool(given.version))
    if not engine.has_version(version):
        raise RefusedError(
            f"Version {version} of {engine.function_name} does not exist. To list the versions that {stage} has run, "
            f"run: make history STAGE={stage}{here.target.make_variables}"
        )
    if version == active:
        raise RefusedError(
            f"{stage} already runs version {version}. To release another version, set VERSION. To change only the "
            "routes, run make promote."
        )
    given = read_settings(given.input | {"version": version})
    _announce(engine, active, engine.complete(given), gateway_deployment)
    if gateway_deployment != stages.active(here)[stage].gateway_deployment:
        _verify_routes(here, stage, config_file.Pin(version, gateway_deployment))
    asks = not yes and here.target.endpoint is None and sys.stdin.isatty()
    if asks and not confirmed("Start the release? (y/N) ", "y"):
        raise RefusedError("Nothing was changed.")
    return engine.start(RELEASE, given)


def check_stage(here: stack.Stack, stage: str) -> None:
    """Verify that a stage can be promoted, released, or rolled back.

    Raises:
        RefusedError: the stage does not exist, is not deployed, or follows newest.
    """
    if here.target.workspace != "default":
        raise RefusedError(
            f"Every stage of the workspace {here.target.workspace} follows newest. Only make deploy moves it."
        )
    if config_file.NEWEST in {(pin := here.config.stage(stage)).function_version, pin.gateway_deployment}:
        raise RefusedError(f"{stage} follows newest. Only make deploy moves it.")
    if stage not in here.outputs["stages"]:
        raise RefusedError(
            f"The stage {stage} is not deployed. Deploy it with: make build deploy{here.target.make_variables}"
        )


def _previous_stage(here: stack.Stack, stage: str) -> str | None:
    stages = list(here.config.stages)
    place = stages.index(stage)
    return stages[place - 1] if place else None


def _promoted_version(engine: Engine, stage: str) -> str:
    """Return the version of the previous stage."""
    previous = _previous_stage(engine.here, stage)
    if previous is None:
        raise RefusedError(f"config.tf has no stage before {stage}. Set the version to release, such as VERSION=4.")
    try:
        return engine.active_version(previous)
    except RefusedError as error:
        raise RefusedError(f"{error}\nOr set the version to release, such as VERSION=4.") from error


def _routes(engine: Engine, stage: str, version: str, *, named: bool) -> str:
    """Return the gateway deployment for a version: that of the previous stage, if that stage runs the version."""
    here = engine.here
    previous, found = _previous_stage(here, stage), stages.active(here)
    if named or previous is None or found[previous].version != version:
        return found[stage].gateway_deployment
    return recording.gateway_deployment(here, found[previous].gateway_deployment)


def _verify_routes(here: stack.Stack, stage: str, pin: config_file.Pin) -> None:
    """Verify before the release, and not after it, that Terraform can change the routes and nothing else."""
    before = here.config
    recording.planned(here, recording.with_pin(before, stage, pin), only=(stage, pin.gateway_deployment), alias=True)
    here.write(before)


def _announce(engine: Engine, active: str, given: Settings, gateway_deployment: str) -> None:
    """Print what a release is about to do."""
    served = stages.active(engine.here)[given.stage].gateway_deployment
    lines = _described(given, local_aws.speed(engine.here.target.endpoint))
    if served != gateway_deployment:
        lines["routes"] = f"gateway deployment {gateway_deployment} instead of {served}, after the release"
    print(f"Release of {given.stage}: from version {active} to version {given.version}")
    for name, line in lines.items():
        print(f"  {name:<9}{line}")


def _described(given: Settings, speed: float) -> dict[str, str]:
    """Return lines about the steps of a release and their analysis, by name."""
    if not given.steps:
        return {"traffic": "100 % in one step, without an analysis"}
    step_seconds, extensions = given.step_seconds or 0, given.max_extensions or 0
    seconds = len(given.steps) * step_seconds / speed
    inconclusive = {"hold": "holds the weight", "promote": "continues", "rollback": "rolls back"}
    return {
        "traffic": f"{', '.join(map(percents, given.steps))}, then 100 %; {duration(step_seconds)} per step",
        "duration": f"about {duration(seconds)}, or up to {duration(seconds * (1 + extensions))} with few invocations",
        "limits": f"error rate {percents(given.max_error_rate or 0)}, p99 duration {given.max_p99_ms:g} ms",
        "analysis": f"needs {given.min_invocations} invocations per step; "
        f"{inconclusive[given.on_inconclusive or 'rollback']} if there are fewer after {extensions} extensions",
        "alarms": f"ignored: {given.ignore_alarms_reason}"
        if given.ignore_alarms_reason
        else f"rolls back if the alarm of {given.stage} fires",
    }


def _record(engine: Engine, stage: str, ended: Past, again: str, *, named: bool) -> None:
    """Record a release that succeeded, with the routes of the previous stage if Terraform can deploy them."""
    here = engine.here
    here.read_config_again()
    try:
        served = stages.active(here)[stage].gateway_deployment
        routes = _routes(engine, stage, ended.to_version, named=named or ended.kind == ROLLBACK)
        try:
            recording.record(here, stage, config_file.Pin(ended.to_version, routes))
        except CommandError as error:
            if routes == served:
                raise
            recording.record(here, stage, config_file.Pin(ended.to_version, served))
            raise UnrecordedError(
                f"{stage} runs version {ended.to_version}, and config.tf records it, but the routes were not deployed: "
                f"{error}\nFix the cause, then deploy the routes with: "
                f"make promote FROM={_previous_stage(here, stage)} TO={stage}{here.target.make_variables}"
            ) from error
    except (UnrecordedError, local_aws.EndedError):
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise UnrecordedError(
            f"{stage} runs version {ended.to_version}, but config.tf does not record it: {error}\n"
            f"Fix the cause, then record it with: {again}"
        ) from error
