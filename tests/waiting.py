"""Waiting for a state, however long a busy machine takes to reach it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], seconds: float = 20, *, described: Callable[[], object] = str) -> T:
    """Return what is looked for as soon as it is there; otherwise, fail with what `described` returns."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s {described()}"
        time.sleep(0.05)
    return found
