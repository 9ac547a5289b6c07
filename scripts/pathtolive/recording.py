"""Record the version and the routes of a stage in config.tf and in Terraform's state."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

import rich.console
import rich.syntax

from pathtolive import config_file, local_aws, plans, routes, stack, stages
from pathtolive.cli import AWS_ERRORS, CommandError, UnrecordedError
from pathtolive.release.engine import Engine


def record(
    here: stack.Stack, stage: str, version: str, *, gateway_deployment: str | None = None, again: str | None = None
) -> None:
    """Record the version that a stage runs in config.tf, and refresh Terraform's state.

    The stage serves the routes of ``gateway_deployment`` from now on, if it is not None. Nothing else changes, so a
    release can be recorded while other changes wait to be deployed. ``again`` is the command that repeats this, if it
    is not ``make record``.

    Raises:
        UnrecordedError: config.tf or Terraform's state does not record the version.
    """
    record_again = f"make record STAGE={stage}{here.target.make_variables}"
    missing, remedy = "config.tf", again or record_again
    try:
        here.hold()
        if gateway_deployment:
            routes.serve(here, stage, gateway_deployment)
        found = stages.active(here)
        write(here, with_pin(here.config, stage, stages.recordable(here.config.stage(stage), found[stage])))
        missing, remedy = "Terraform's state", record_again
        here.initialize()
        here.refresh(stages.kept(here, found))
    except local_aws.EndedError:
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise UnrecordedError(
            f"{stage} runs version {version}, but {missing} does not record it: {error}\n"
            f"Fix the cause, then run: {remedy}"
        ) from error
    except KeyboardInterrupt as error:
        raise UnrecordedError(
            f"Interrupted. {stage} runs version {version}, but {missing} does not record it.\nRun: {remedy}"
        ) from error


def record_ended(here: stack.Stack, created: Collection[str] = ()) -> None:
    """Write to config.tf the pins of unpinned stages, and those of releases that ended without their command.

    A release that Terraform's state does not know was never recorded. If the state knows it, config.tf is outdated, or
    was edited on purpose. ``created`` are stages that did not exist before.
    """
    if here.target.workspace != "default" or not _unrecorded(here):
        return
    here.hold()
    after = here.config
    for stage, (running, ended) in _unrecorded(here).items():
        after = with_pin(after, stage, stages.recordable(after.stage(stage), running))
        print(f"Pinned {stage} to version {running.version} in {here.target.config_file}")
        if stage not in created:
            reason = (
                f"{ended} succeeded, and was not recorded." if ended else stages.since(here, stage, running.version)
            )
            edit = f"edit its pin, then run: make deploy STAGE={stage}{here.target.make_variables}"
            print(f"{reason} To change that, {edit}")
    here.write(after)


def recorded(here: stack.Stack, stage: str, running: stages.Active) -> bool:
    """Return whether config.tf and Terraform's state record the version and the routes of a stage."""
    configured, known = here.config.stage(stage), here.outputs["stages"][stage]
    in_state = (known["function_version"], known["gateway_deployment"])
    in_config = stages.recordable(configured, running) == configured
    return in_config and in_state == (running.version, running.gateway_deployment)


def _unrecorded(here: stack.Stack) -> dict[str, tuple[stages.Active, str | None]]:
    """Return the stages that config.tf does not record, and the names of the releases that moved them, if known."""
    found = {}
    for stage, running in stages.active(here).items():
        configured = here.config.stage(stage)
        ended = _ended(here, stage, running)
        if configured.function_version is None or (ended and stages.recordable(configured, running) != configured):
            found[stage] = running, ended
    return found


def _ended(here: stack.Stack, stage: str, running: stages.Active) -> str | None:
    """Return the name of the release that moved a stage, if neither config.tf nor Terraform's state records it."""
    if running.weights or here.outputs["stages"][stage]["function_version"] == running.version:
        return None
    ended = Engine(here, stage).unrecorded()
    return ended.name if ended else None


def with_pin(config: config_file.Pins, stage: str, pin: config_file.Pin) -> config_file.Pins:
    """Return a config.tf with a new pin for a stage, and with the name of its gateway deployment."""
    names = config.gateway_deployments
    if pin.gateway_deployment not in {*names, config_file.NEWEST}:
        config = config.with_gateway_deployments([*names, pin.gateway_deployment])
    return config.with_pin(stage, pin)


def write(here: stack.Stack, after: config_file.Pins) -> None:
    """Write config.tf if it changes, and print the difference."""
    before = here.config
    lines = difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), n=0, lineterm="")
    if changed := [line for line in lines if not line.startswith(("---", "+++", "@@"))]:
        here.write(after)
        difference = "\n".join(["config.tf:", *changed])
        rich.console.Console(soft_wrap=True).print(rich.syntax.Syntax(difference, "diff", background_color="default"))


def refuse_moves(here: stack.Stack, plan: plans.Plan, found: Mapping[str, stages.Active]) -> None:
    """Refuse a plan that would change the alias of a stage that is frozen, or while a release of it is in progress.

    Raises:
        RefusedError: there is such a stage.
    """
    for stage, running in found.items():
        if plans.alias(stage) not in plan.changes:
            continue
        engine = Engine(here, stage)
        engine.refuse_frozen()
        engine.refuse_weights(running.weights)
