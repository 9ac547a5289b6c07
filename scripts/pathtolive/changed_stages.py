"""The stages that config.tf adds, renames, and removes: what a deployment does with them."""

from __future__ import annotations

import contextlib

from pathtolive import config_file, recording, stack, stages
from pathtolive.cli import RefusedError
from pathtolive.release.aliases import Alias, MissingAliasError
from pathtolive.release.engine import Engine
from pathtolive.release.machine import MissingMachineError


def pin_renamed(here: stack.Stack) -> None:
    """Announce the changes, and pin each renamed stage in config.tf to the version that it keeps.

    Raises:
        RefusedError: as ``announce``.
    """
    for stage, pin in announce(here).items():
        here.write(recording.with_pin(here.config, stage, pin))
        print(f"Pinned {stage} to version {pin.function_version} in {here.target.config_file}")


def announce(here: stack.Stack) -> dict[str, config_file.Pin]:
    """Print which stages the next deployment creates and deletes, and return the pins of renamed ones.

    A new stage without a version replaces a stage that config.tf no longer has: it is the same stage with another
    name, or else it can be promoted to. Without this, a renamed stage would get the newest version.

    Raises:
        RefusedError: a release of a removed stage is in progress, or several stages can be the renamed one.
    """
    deployed = here.deployed.get("stages", {})
    if not deployed:
        return {}
    added = {stage: pin for stage, pin in here.stages.items() if stage not in deployed}
    removed = {stage: _active(here, stage) for stage in deployed if stage not in here.stages}
    unpinned = [stage for stage, pin in added.items() if pin.function_version is None]
    if removed and unpinned and (len(removed), len(unpinned)) != (1, 1):
        raise RefusedError(
            f"config.tf adds {', '.join(unpinned)} without a version, and no longer has {', '.join(removed)}. A "
            "renamed stage keeps its version, but it is not clear which stage is renamed. Change one stage at a time, "
            f"and after each change, run: make deploy{here.target.make_variables}"
        )
    renamed = {}
    for stage, pin in added.items():
        if stage in unpinned and removed:
            ((old, running),) = removed.items()
            renamed[stage] = stages.recordable(pin, running)
            print(f"{stage} replaces {old}, and keeps its version, {running.version}.")
        else:
            number = pin.function_version not in {None, config_file.NEWEST}
            version = f"version {pin.function_version}" if number else "the newest version"
            print(f"{stage} is new, and starts with {version}.")
    for stage, running in removed.items():
        print(
            f"{stage}, with version {running.version}, is no longer in config.tf. The deployment deletes its URL, "
            f"{here.stage_url(stage)}, and its alias, alarms, state machine, and access logs."
        )
    return renamed


def _active(here: stack.Stack, stage: str) -> stages.Active:
    """Return the version and the routes of a deployed stage that config.tf no longer has.

    Raises:
        RefusedError: a release of it is in progress.
    """
    engine, deployed = Engine(here, stage), here.deployed["stages"][stage]
    try:
        alias = engine.aliases.read(stage)
    except MissingAliasError:
        alias = Alias(deployed["function_version"], {})
    try:
        with contextlib.suppress(MissingMachineError):
            if running := engine.machine.running():
                raise RefusedError(engine.in_progress_error(running))
        engine.refuse_weights(alias.weights)
    except RefusedError as error:
        raise RefusedError(f"{error}\nFirst, put {stage} back into config.tf.") from error
    return stages.Active(alias.version, alias.weights, deployed["gateway_deployment"])
