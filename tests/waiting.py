"""Waiting for a state that a busy machine reaches late."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], seconds: float = 20, *, described: Callable[[], object] = str) -> T:
    """Return the first true result of ``look``. After some seconds, fail with the result of ``described``."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s {described()}"
        time.sleep(0.05)
    return found
