"""The versions of each stage, as data and as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pathtolive import smoke, stack, tables
from pathtolive.release.aliases import Alias, MissingAliasError
from pathtolive.release.control import Control, Freeze
from pathtolive.release.engine import Engine
from pathtolive.release.machine import MissingMachineError

# A stage with weights answers with either version, and a bad version may fail.
ATTEMPTS = 20
# The composite alarm, which fires because of the others.
UNHEALTHY = "unhealthy"


def stages(here: stack.Stack) -> list[dict[str, Any]]:
    """Return an object per stage: ``stage url function_version weights revision pinned_version alarms release frozen``.

    A stage that is not deployed has none. ``function_version`` is None if the stage has no alias. ``weights`` is the
    share of traffic of another version, such as ``{"4": 0.1}``; ``revision`` the commit that ``function_version`` was
    built from, or None if it has no build info; ``alarms`` the names of the alarms that fire; ``release`` the name of
    the release in progress, or None; ``frozen`` an object with ``until``, ``by``, and ``reason``, or None.
    """
    alarms = here.target.client("cloudwatch")
    result = []
    for stage, pin in here.stages.items():
        if stage not in here.outputs["stages"]:
            continue
        engine = Engine(here, stage)
        firing = alarms.describe_alarms(
            AlarmNamePrefix=f"{engine.aliases.function_name}-{stage}-",
            StateValue="ALARM",
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        )
        alias = _alias(engine)
        url = here.stage_url(stage)
        result.append(
            {
                "stage": stage,
                "url": url,
                "function_version": alias and alias.version,
                "weights": dict(alias.weights) if alias else {},
                "revision": revision(url, alias.version) if alias else None,
                "pinned_version": pin.function_version,
                "gateway_deployment": pin.gateway_deployment,
                "alarms": [
                    alarm["AlarmName"] for kind in ("CompositeAlarms", "MetricAlarms") for alarm in firing.get(kind, [])
                ],
                "release": _release(engine),
                "frozen": _frozen(engine),
            }
        )
    return result


def _release(engine: Engine) -> str | None:
    try:
        running = engine.machine.running()
    except MissingMachineError:
        return None
    return running.name if running else None


def _frozen(engine: Engine) -> dict[str, str] | None:
    freeze = engine.control.frozen()
    return dataclasses.asdict(freeze) if freeze else None


def _alias(engine: Engine) -> Alias | None:
    try:
        return engine.aliases.read(engine.stage)
    except MissingAliasError:
        return None


def revision(url: str, version: str) -> str | None:
    """Return the commit that a version was built from, by ``/build-info`` of the stage."""
    for _ in range(ATTEMPTS):
        info = smoke.build_info(url)
        if info is not None and info["function"]["version"] == version:
            return f"{info['long']}{'-modified' if info['modified'] else ''}"
    return None


def commit(url: str, version: str) -> str | None:
    """Return the hash of the commit that a version was built from, or None if it is not known."""
    return (revision(url, version) or "").partition("-")[0] or None


def conclude(here: stack.Stack) -> None:
    """Print the stages at the end of a command that has done everything else: Ctrl-C leaves out the table."""
    try:
        show(here, urls=False)
    except KeyboardInterrupt:
        print(f"\nInterrupted after the last step. To see the result, run: make status{here.target.make_variables}")


def show(here: stack.Stack, *, urls: bool = True) -> None:
    """Print the stages as a table, or as a list if the terminal is too narrow for it, then their URLs."""
    rows = stages(here)
    fields = [
        {
            "stage": row["stage"],
            "version": row["function_version"] or "none",
            "weights": ", ".join(f"{version}: {weight:.0%}" for version, weight in row["weights"].items()),
            "revision": _short(row["revision"]),
            "pin": row["pinned_version"] or "none",
            "routes": row["gateway_deployment"],
            "alarms": alarms(row["alarms"], f"{here.outputs['function_name']}-{row['stage']}-"),
            "release": row["release"] or "",
        }
        for row in rows
    ]
    if not urls:
        tables.show(fields)
        return
    print()
    if fields:
        tables.show(fields)
        print()
    width = max((len(row["stage"]) for row in rows), default=0)
    for row in rows:
        print(f"{row['stage']:<{width}}  curl {row['url']}")
    for stage in here.stages:
        if stage not in here.outputs["stages"]:
            print(f"{stage} is not deployed. Deploy it with: make build deploy{here.target.make_variables}")
    for row in rows:
        if row["weights"] and not row["release"]:
            engine = Engine(here, row["stage"])
            print(engine.weights_error(engine.aliases.read(engine.stage)))
    for row in rows:
        if row["frozen"]:
            print(Control(here, row["stage"]).frozen_error(Freeze(**row["frozen"])))
    for stage in here.outputs["stages"]:
        if stage not in here.stages:
            print(f"{stage} is no longer in config.tf. The next deployment deletes it.")


def alarms(names: Sequence[str], prefix: str) -> str:
    """Return the names of the alarms of a stage without their prefix, as in ``unhealthy: error-rate, duration``."""
    shown = [name.removeprefix(prefix) for name in names]
    causes = ", ".join(name for name in shown if name != UNHEALTHY)
    return ": ".join(filter(None, [UNHEALTHY if UNHEALTHY in shown else "", causes]))


def _short(revision: str | None) -> str:
    commit, _, modified = (revision or "").partition("-")
    return f"{commit[:7]}{' modified' if modified else ''}"
