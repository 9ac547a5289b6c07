"""Promote the version and the routes of one stage to another."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pathtolive import config_file, progress, recording, routes, smoke, stack, stages
from pathtolive.cli import CommandError, RefusedError
from pathtolive.release import begin, view
from pathtolive.release.engine import Engine
from pathtolive.release.executions import PROMOTE, REFUSED, SUCCEEDED, brief, remedy
from pathtolive.release.settings import Settings

# Changes of aliases and API stages are eventually consistent on AWS.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Promotion:
    """A version, by number and hash, and a gateway deployment, by name, to promote from one stage to another."""

    source: str
    destination: str
    version: str
    code_sha256: str
    gateway_deployment: str


def promote(
    here: stack.Stack, source: str, destination: str, given: Settings, gateway_deployment: str | None = None
) -> None:
    """Promote a stage to another, record it, and verify the result.

    ``given.version`` and ``gateway_deployment`` are what is promoted if the source has moved on since. With
    ``given.bake_seconds``, the version is watched while it has all traffic, and recorded afterwards. After an
    interruption, the same call continues the promotion.

    Raises:
        RefusedError: nothing was changed.
        LostSightError: the promotion continues without this command.
        CommandError: the promotion failed or was rolled back, or the stage then runs another version.
    """
    engine = Engine(here, destination)
    promotion = _promotion(engine, source, given.version, gateway_deployment)
    active = stages.active(here)[destination]
    pin = config_file.Pin(promotion.version, promotion.gateway_deployment)
    if pin == here.config.stage(destination) and recording.recorded(here, destination, active):
        print(f"{destination} already runs version {promotion.version} with the routes of {source}. No changes.")
    else:
        named = {"VERSION": given.version, "ROUTES": gateway_deployment, "BAKE_SECONDS": given.bake_seconds}
        variables = "".join(f" {name}={value}" for name, value in named.items() if value)
        again = f"make promote FROM={source} TO={destination}{variables}{here.target.make_variables}"
        if active.version != promotion.version:
            _move(engine, promotion, given, again)
        # The state machine has moved the version of an interrupted promotion, which continues during a freeze.
        elif active.gateway_deployment != promotion.gateway_deployment and not engine.unrecorded():
            engine.refuse_frozen(given.ignore_freeze_reason)
        recording.record(here, destination, promotion.version, gateway_deployment=pin.gateway_deployment, again=again)
    with progress.step(f"Verify that {destination} runs version {promotion.version}"):
        _check(engine, promotion)


def _move(engine: Engine, promotion: Promotion, given: Settings, again: str) -> None:
    """Run the release engine, which smoke-tests the version, moves the alias, and watches the version in a bake."""
    stage, version = engine.stage, promotion.version
    running = engine.machine.running()
    if running is None:
        given = engine.machine.given(given, stage=stage, version=version, steps=())
        if seconds := given.bake_seconds:
            print(
                f"Smoke-testing version {version}, then shifting all traffic of {stage} to it, and watching it for "
                f"{view.duration(seconds)}"
            )
        running = engine.machine.start(PROMOTE, given, again)
    if running.settings.bake_seconds or engine.machine.complete(running.settings).hold:
        ended = view.watch(engine, running, again)
        if ended.outcome == SUCCEEDED:
            print(f"Succeeded: {ended.reason}", flush=True)
    else:
        with progress.step(f"Smoke-test version {version}, then shift all traffic of {stage} to it") as step:
            step.result = running.name
            ended = view.follow(engine, running, again)
    if ended.outcome == REFUSED:
        raise RefusedError(
            f"The promotion to {stage} was refused: {brief(ended.reason)}{remedy(ended)}\nNothing was changed."
        )
    if ended.outcome != SUCCEEDED:
        raise CommandError(
            f"The promotion to {stage} did not succeed ({ended.outcome}): {brief(ended.reason)}\n"
            f"{stage} runs version {engine.aliases.read(stage).version}. config.tf was not changed."
        )


def _promotion(engine: Engine, source: str, version: str, gateway_deployment: str | None) -> Promotion:
    """Return what to promote."""
    here, destination = engine.here, engine.stage
    here.config.stage(source)
    begin.check_stage(here, destination)
    if source == destination:
        raise RefusedError(f"FROM and TO are both {source}. Set them to two stages.")
    version = version or Engine(here, source).active_version()
    if not engine.aliases.has_version(version):
        raise RefusedError(f"Version {version} of {engine.aliases.function_name} does not exist.")
    running = engine.machine.running()
    if running is None:
        engine.refuse_weights(engine.aliases.read(destination).weights)
    elif (running.kind, running.settings.version) != (PROMOTE, version):
        raise RefusedError(engine.in_progress_error(running))
    served = gateway_deployment or stages.active(here)[source].gateway_deployment
    return Promotion(source, destination, version, _code_sha256(here, version), routes.deployment(here, served))


def _code_sha256(here: stack.Stack, qualifier: str) -> str:
    function = here.target.client("lambda").get_function_configuration(
        FunctionName=here.outputs["function_name"], Qualifier=qualifier
    )
    code_sha256: str = function["CodeSha256"]
    return code_sha256


def _check(engine: Engine, promotion: Promotion) -> None:
    """Verify that the stage runs the promoted version: in Lambda by its hash, and through the API by its build info."""
    here = engine.here
    source, url = here.stage_url(promotion.source), here.stage_url(promotion.destination)
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Each attempt reads both stages: a version that fails for some requests can still be promoted and examined.
    while difference := _difference(engine, promotion, url, _expected(source, promotion)):
        if time.monotonic() > deadline:
            raise CommandError(
                f"{promotion.destination} does not match {promotion.source}: {difference}. Run the command again. "
                f"If it fails again, run: make status{here.target.make_variables}"
            )
        time.sleep(0.5)
    smoke.check(url, here.logs_command(promotion.destination))


def _expected(source: str, promotion: Promotion) -> dict[str, Any] | None:
    """Return the build info of the source, or None if the source has another version by now."""
    found = smoke.build_info(source)
    return found if found and found["function"]["version"] == promotion.version else None


def _difference(engine: Engine, promotion: Promotion, url: str, expected: dict[str, Any] | None) -> str | None:
    """Return a difference between the stage and the promotion, or None."""
    version = engine.active_version()
    code_sha256 = _code_sha256(engine.here, engine.stage)
    if (version, code_sha256) != (promotion.version, promotion.code_sha256):
        return (
            f"its alias points to version {version} with CodeSha256 {code_sha256}, not to version {promotion.version} "
            f"with CodeSha256 {promotion.code_sha256}"
        )
    found = smoke.build_info(url)
    if expected is None:
        # An artifact that was built without git has no build info to compare.
        if found is None or found["function"]["version"] == promotion.version:
            return None
        return f"{url}build-info is of version {found['function']['version']}"
    if found is None:
        return f"{url}build-info has no build info"
    if (found["function"]["version"], found["long"]) != (promotion.version, expected["long"]):
        return f"{url}build-info is of version {found['function']['version']} and commit {found['short']}"
    return None
