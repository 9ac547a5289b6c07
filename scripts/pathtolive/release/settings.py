"""The settings of a release, as the input of the state machine has them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any


@dataclass(frozen=True)
class Settings:
    """The input of a release. For None, the state machine has a default. Rates and steps are from 0 to 1."""

    stage: str
    version: str
    steps: tuple[float, ...] | None = None
    step_seconds: int | None = None
    bake_seconds: int | None = None
    max_error_rate: float | None = None
    max_p99_ms: float | None = None
    min_invocations: int | None = None
    max_extensions: int | None = None
    on_inconclusive: str | None = None
    hold: bool | None = None
    ignore_alarms_reason: str | None = None
    ignore_freeze_reason: str | None = None
    ignore_rejection_reason: str | None = None
    metrics_delay_seconds: int | None = None
    smoke_test: bool | None = None

    @property
    def input(self) -> dict[str, Any]:
        """The settings that differ from None."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings in an execution's input, without the keys that are no settings."""
    known = {field.name for field in dataclasses.fields(Settings)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in known
    }
    return Settings(**{"stage": "", "version": ""} | values)


def share(text: str) -> float:
    """Return a percentage as a share: ``2.5`` and ``2.5%`` are 0.025.

    Raises:
        ValueError: the text is not a number from 0 to 100.
    """
    try:
        percentage = Decimal(text.strip().removesuffix("%"))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a percentage") from error
    if not percentage.is_finite() or not 0 <= percentage <= 100:
        raise ValueError(f"{text} % is not from 0 to 100")
    return float(percentage / 100)


def shares(text: str) -> tuple[float, ...]:
    """Return steps in percent, such as ``10,50``, as shares, without a last step of 100 percent.

    Raises:
        ValueError: a step is not a percentage, or not greater than the one before.
    """
    found = [share(part) for part in text.split(",")]
    if found != sorted(set(found)) or found[0] < 0.0001:
        raise ValueError(f"{text!r} is not a list of increasing percentages from 0.01, such as 10,50")
    return tuple(step for step in found if step < 1)


def milliseconds(text: str) -> float:
    """Return a number of milliseconds.

    Raises:
        ValueError: the text is not a positive number. JSON, the input of a release, has no infinity.
    """
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise ValueError(f"{text!r} is not a number of milliseconds")
    return found


def percents(share: float) -> str:
    """Return a share as a percentage: 0.025 is ``2.5 %``."""
    return f"{round(100 * share, 2):g} %"
