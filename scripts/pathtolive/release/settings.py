"""The settings of a release, as the state machine takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What a release is started with, as the state machine takes it: None is its default, rates are shares."""

    stage: str
    version: str
    steps: tuple[float, ...] | None = None
    bake_seconds: int | None = None
    max_error_rate: float | None = None
    max_p99_ms: float | None = None
    min_calls: int | None = None
    extensions: int | None = None
    when_inconclusive: str | None = None
    ignore_alarms: str | None = None
    smoke_test: bool | None = None

    @property
    def input(self) -> dict[str, Any]:
        """The settings that are not the machine's defaults."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Return settings as they are written in an execution's input, leaving out what is none."""
    known = {field.name for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in known
    }
    return Settings(**{"stage": "", "version": ""} | values)


def share(text: str) -> float:
    """Return percents as a share: ``2.5`` and ``2.5%`` are 0.025.

    Raises:
        ValueError: it is no number from 0 to 100.
    """
    try:
        percents = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no number of percents") from error
    if not percents.is_finite() or not 0 <= percents <= 100:
        raise ValueError(f"{text} % is not from 0 to 100")
    return float(percents / 100)


def shares(text: str) -> tuple[float, ...]:
    """Return steps in percents as shares: ``10,50``; 100 at the end goes without saying.

    Raises:
        ValueError: one is no number, or they do not grow.
    """
    found = [share(part) for part in text.split(",")]
    if found != sorted(set(found)) or found[0] < 0.0001:
        raise ValueError(f"{text!r} does not grow from step to step, as in 10,50")
    return tuple(step for step in found if step < 1)


def percents(share: float) -> str:
    """Return a share in percents: 0.025 is ``2.5 %``."""
    return f"{round(100 * share, 2):g} %"
