"""Print the steps of a command: one line each, with its seconds."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import rich.console
import rich.status
import rich.text

from pathtolive.symbols import symbol


@dataclass
class Step:
    """A step in progress; ``result`` is added to its line."""

    result: str = ""


@contextlib.contextmanager
def step(text: str) -> Iterator[Step]:
    """Print a line when the step has ended; in a terminal, show it while it is in progress."""
    console = rich.console.Console(soft_wrap=True, highlight=False)
    started = Step()
    began = time.monotonic()
    mark, style = symbol("✗", "x"), "red"
    try:
        with console.status(rich.text.Text(f"{text} ...")) if console.is_terminal else contextlib.nullcontext():
            yield started
        mark, style = symbol("✓", "-"), "green"
    finally:
        result = f": {started.result}" if started.result else ""
        line = rich.text.Text.assemble((mark, style), f" {text}{result} ({time.monotonic() - began:.0f} s)")
        console.print(line)
        sys.stdout.flush()
