"""Start a release or follow one in progress, and record it."""

from __future__ import annotations

import datetime
import math
import sys

from pathtolive import config_file, local_aws, recording, routes, stack, stages
from pathtolive.cli import AWS_ERRORS, CommandError, LostSightError, RefusedError
from pathtolive.questions import confirmed
from pathtolive.release import sensitivity
from pathtolive.release.engine import Engine
from pathtolive.release.executions import RELEASE, ROLLBACK, SUCCEEDED, Execution, Past, continues
from pathtolive.release.settings import Settings, percents
from pathtolive.release.view import duration, send_traffic, watch

MINUTE = 60


def release(
    here: stack.Stack, given: Settings, *, yes: bool, wait: bool = True, gateway_deployment: str | None = None
) -> Past | None:
    """Return the outcome of a release: a new one, the one in progress, or the last one if it is not recorded.

    Without ``wait``, return None as soon as a release is in progress. If ``given.version`` is empty, the stage gets the
    version and the routes of the previous stage. Otherwise, it keeps its routes, or gets those of
    ``gateway_deployment``.

    Raises:
        RefusedError: nothing was changed.
        LostSightError: the release continues without this command.
        UnrecordedError: the release succeeded, but could not be recorded.
        CommandError: the release ended, but its rollback did not complete.
    """
    engine = Engine(here, given.stage)
    version = f" VERSION={given.version}" if given.version else ""
    named = f" ROUTES={gateway_deployment}" if gateway_deployment else ""
    again = f"make release STAGE={given.stage}{version}{named}{here.target.make_variables}"
    try:
        started = _start(engine, given, again, gateway_deployment, yes=yes)
    except (RefusedError, LostSightError):
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    if isinstance(started, Execution) and not wait:
        print(continues(started.name, again))
        return None
    ended = watch(engine, started, again) if isinstance(started, Execution) else started
    if ended.outcome == SUCCEEDED:
        print(f"Succeeded: {ended.reason}", flush=True)
        here.read_config_again()
        served = gateway_deployment or _routes(
            engine, ended.to_version, named=bool(given.version) or ended.kind == ROLLBACK
        )
        recording.record(here, given.stage, ended.to_version, gateway_deployment=served, again=again)
    return ended


def _start(
    engine: Engine, given: Settings, again: str, gateway_deployment: str | None, *, yes: bool
) -> Execution | Past:
    """Return a release that was started, the one in progress, or the last one if it is not recorded."""
    here, stage = engine.here, given.stage
    check_stage(here, stage)
    if running := engine.machine.running():
        if given.version not in {"", running.settings.version}:
            raise RefusedError(engine.in_progress_error(running))
        return running
    active = engine.active_version()
    if unrecorded := engine.unrecorded():
        if given.version in {"", unrecorded.to_version}:
            print(f"{unrecorded.name} succeeded, but it is not recorded. Recording it now.")
            return unrecorded
        # If Terraform's state knows it, only this config.tf is outdated, for example while a pull request with the pin
        # waits. The record of this release then replaces the pin.
        if here.outputs["stages"][stage]["function_version"] != unrecorded.to_version:
            raise RefusedError(
                f"{unrecorded.name} succeeded, but it is not recorded. Record it with: "
                f"make release STAGE={stage}{here.target.make_variables}"
            )
    version = given.version or _promoted_version(engine)
    served = gateway_deployment or _routes(engine, version, named=bool(given.version))
    routes.deployment(here, served)
    if not engine.aliases.has_version(version):
        raise RefusedError(
            f"Version {version} of {engine.aliases.function_name} does not exist. To list the versions that "
            f"{stage} has run, run: make history STAGE={stage}{here.target.make_variables}"
        )
    if version == active and gateway_deployment and stages.active(here)[stage].gateway_deployment != gateway_deployment:
        return _routes_alone(engine, given, active)
    if version == active:
        raise RefusedError(
            f"{stage} already runs version {version}. To release another version, set VERSION. To change only the "
            "routes, run make promote."
        )
    given = engine.machine.given(given, version=version)
    _announce(engine, active, engine.machine.complete(given), served)
    asks = not yes and here.target.endpoint is None and sys.stdin.isatty()
    if asks and not confirmed("Start the release?"):
        raise RefusedError("Nothing was changed.")
    return engine.machine.start(RELEASE, given, again)


def _routes_alone(engine: Engine, given: Settings, active: str) -> Past:
    """Return the release that the routes of a stage belong to, whose version it already runs.

    Raises:
        RefusedError: the stage is frozen.
    """
    engine.refuse_frozen(given.ignore_freeze_reason)
    last = engine.last()
    if last and last.to_version == active:
        print(f"{last.name} succeeded, but {engine.stage} does not have its routes. Setting them now.")
        return last
    now = datetime.datetime.now(datetime.UTC)
    reason = f"{engine.stage} runs version {active}. Only its routes change."
    return Past("routes", RELEASE, active, active, now, now, SUCCEEDED, reason)


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


def _promoted_version(engine: Engine) -> str:
    """Return the version of the previous stage."""
    previous = _previous_stage(engine.here, engine.stage)
    if previous is None:
        raise RefusedError(
            f"config.tf has no stage before {engine.stage}. Set the version to release, such as VERSION=4."
        )
    try:
        return Engine(engine.here, previous).active_version()
    except RefusedError as error:
        raise RefusedError(f"{error}\nOr set the version to release, such as VERSION=4.") from error


def _routes(engine: Engine, version: str, *, named: bool) -> str:
    """Return the gateway deployment for a version: that of the previous stage, if that stage runs the version."""
    here, stage = engine.here, engine.stage
    previous, found = _previous_stage(here, stage), stages.active(here)
    if named or previous not in found or found[previous].version != version:
        return found[stage].gateway_deployment
    return routes.deployment(here, found[previous].gateway_deployment)


def _announce(engine: Engine, active: str, given: Settings, gateway_deployment: str) -> None:
    """Print what a release is about to do."""
    served = stages.active(engine.here)[given.stage].gateway_deployment
    lines = _described(given, local_aws.speed(engine.here.target.endpoint))
    if served != gateway_deployment:
        lines["routes"] = f"gateway deployment {gateway_deployment} instead of {served}, after the release"
    per_minute = engine.invocations_per_minute()
    if per_minute:
        lines["finds"] = sensitivity.found(given, per_minute)
    print(f"Release of {given.stage}: from version {active} to version {given.version}")
    for name, line in lines.items():
        print(f"  {name:<9}{line}")
    if not per_minute:
        print(f"{given.stage} had no requests in the last hour. {send_traffic(engine.here, given.stage)}")
    for warning in sensitivity.warnings(given, per_minute) if per_minute else ():
        print(warning)


def _described(given: Settings, speed: float) -> dict[str, str]:
    """Return lines about the steps of a release and their analysis, by name."""
    steps, bake_seconds = given.steps or (), given.bake_seconds or 0
    step_seconds, extensions, delay = (
        given.step_seconds or 0,
        given.max_extensions or 0,
        given.metrics_delay_seconds or 0,
    )
    # The metrics of a step's last minute arrive after it.
    waits = (MINUTE + math.ceil(delay / MINUTE) * MINUTE) * (len(steps) + bool(bake_seconds))
    seconds = len(steps) * step_seconds + bake_seconds + waits
    extended = seconds + len(steps) * step_seconds * extensions
    inconclusive = {"hold": "holds the weight", "promote": "continues", "rollback": "rolls back"}
    return {
        "traffic": f"{', '.join(map(percents, steps))}, then 100 %; {duration(step_seconds)} per step, "
        f"{duration(bake_seconds)} of bake",
        "duration": f"about {duration(seconds / speed)}, or up to {duration(extended / speed)} with inconclusive steps",
        "limits": f"{percents(given.max_error_rate or 0)} of the invocations can fail, "
        f"and 1 % can take longer than {given.max_p99_ms:g} ms",
        "analysis": f"compares both versions, needs {given.min_invocations} invocations per step; "
        f"{inconclusive[given.on_inconclusive or 'rollback']} if inconclusive after {extensions} extensions",
        **({"approval": "waits for it after the smoke test"} if given.hold else {}),
        "alarms": f"ignored: {given.ignore_alarms_reason}"
        if given.ignore_alarms_reason
        else f"rolls back if the alarm of {given.stage} fires",
    }
