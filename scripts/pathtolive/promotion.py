"""Make a stage run what another one runs: the same version, and the routes that it serves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from pathtolive import config_file, progress, recording, smoke, stack, stages
from pathtolive.cli import CommandError
from pathtolive.release.engine import Engine
from pathtolive.release.executions import PROMOTE, RELEASED
from pathtolive.release.settings import Settings

# API Gateway and Lambda take a moment to follow on AWS.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Promotion:
    """What is promoted, from which stage to which: a version by number and hash, and a gateway deployment by name."""

    source: str
    destination: str
    version: str
    code_sha256: str
    gateway_deployment: str


def promote(here: stack.Stack, source: str, destination: str) -> None:
    """Promote, and see that it is so.

    config.tf is written before Terraform is asked, and put back where Terraform refuses, would change more than the
    promotion does, or the version is refused. Once the alias is moved it stays written. Interrupted anywhere, the same
    command goes on from there.

    Raises:
        CommandError: it cannot be done, or what the stage runs then is not what was promoted.
    """
    engine = Engine(here)
    promotion, moved = _promotion(here, engine, source, destination)
    before = here.config
    pin = config_file.Pin(promotion.version, promotion.gateway_deployment)
    after = recording.with_pin(before, destination, pin)
    only = (destination, promotion.gateway_deployment)
    plan = recording.planned(here, after, only=only, alias=True)
    recording.show_difference(before, after)
    if not moved:
        try:
            _move(engine, promotion)
        except BaseException:
            here.write(before)
            raise
        plan = recording.planned(here, after, only=only)
    here.apply(plan)
    with progress.step(f"Verify that {destination} runs version {promotion.version}"):
        _check(here, engine, promotion)


def _move(engine: Engine, promotion: Promotion) -> None:
    """Have the state machine move the alias: it calls the version first, and tells how it ends."""
    stage = promotion.destination
    running = engine.running(stage)
    if running is None:
        running = engine.start(PROMOTE, Settings(stage, promotion.version, steps=()))
    with progress.step(f"Smoke-test version {promotion.version}, then shift all traffic of {stage} to it") as step:
        step.result = running.name
        ended = engine.wait(running)
    if ended.outcome != RELEASED:
        raise CommandError(f"{stage} was not promoted ({ended.outcome}): {ended.reason}\nNothing was changed.")


def _promotion(here: stack.Stack, engine: Engine, source: str, destination: str) -> tuple[Promotion, bool]:
    """Return what is to be promoted, and whether the alias has the version already."""
    if here.target.workspace != "default":
        raise CommandError(f"Workspace {here.target.workspace} follows the newest in every stage: nothing to promote")
    here.config.stage(source)
    pin = here.config.stage(destination)
    if source == destination:
        raise CommandError(f"FROM and TO are both {source}: name two stages")
    if config_file.NEWEST in {pin.function_version, pin.gateway_deployment}:
        raise CommandError(f"{destination} follows the newest: 'make deploy' is what changes it")
    version = _settled_version(here, engine, source)
    runs = _settled_version(here, engine, destination)
    running = engine.running(destination)
    if running and (running.kind, running.settings.version) != (PROMOTE, version):
        raise CommandError(
            f"{running.name} is under way: wait for it to end, or end it with "
            f"'make rollback STAGE={destination}{here.target.make_variables}'"
        )
    promotion = Promotion(
        source,
        destination,
        version,
        _code_sha256(here, version),
        recording.gateway_deployment(here, stages.active(here)[source].gateway_deployment),
    )
    return promotion, runs == version


def _settled_version(here: stack.Stack, engine: Engine, stage: str) -> str:
    """Return the version that a stage runs; CommandError where it runs two, by weight."""
    runs = engine.alias(stage)
    if runs.weights:
        raise CommandError(
            f"{stage} is between versions ({runs.version}, and {runs.weights} beside it): wait for the release to end, "
            f"or end it with 'make rollback STAGE={stage}{here.target.make_variables}'"
        )
    return runs.version


def _code_sha256(here: stack.Stack, qualifier: str) -> str:
    function = here.target.client("lambda").get_function_configuration(
        FunctionName=here.outputs["function_name"], Qualifier=qualifier
    )
    code_sha256: str = function["CodeSha256"]
    return code_sha256


def _check(here: stack.Stack, engine: Engine, promotion: Promotion) -> None:
    """See that the stage runs what was promoted: at Lambda by its hash, through the API by its build info."""
    source, url = here.stage_url(promotion.source), here.stage_url(promotion.destination)
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Both are asked anew each time: a version that fails now and then can be promoted, to look at it in another stage.
    while wrong := _difference(here, engine, promotion, url, smoke.build_info(source)):
        if time.monotonic() > deadline:
            raise CommandError(f"{promotion.destination} does not run what {promotion.source} runs: {wrong}")
        time.sleep(0.5)
    smoke.check(url)


def _difference(
    here: stack.Stack, engine: Engine, promotion: Promotion, url: str, expected: dict[str, Any] | None
) -> str | None:
    """Return what is not as promoted, if anything."""
    version = _settled_version(here, engine, promotion.destination)
    code_sha256 = _code_sha256(here, promotion.destination)
    if (version, code_sha256) != (promotion.version, promotion.code_sha256):
        return f"its alias has version {version} with CodeSha256 {code_sha256}, not {promotion}"
    found = smoke.build_info(url)
    if expected is None or found is None:
        # An artifact that was built without git names no revision: the hash has to do.
        return None if expected == found else f"{url}build-info says {found}, not {expected}"
    if (found["function"]["version"], found["long"]) != (promotion.version, expected["long"]):
        return f"{url}build-info says {found}"
    return None
