"""Ctrl-C and SIGTERM. Standard library only: the build uses it before anything is installed."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType

MESSAGE = "\nInterrupted. To complete it, run the command again."
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def catch_sigterm() -> None:
    """Let SIGTERM, which ends a command in a pipeline, end it as Ctrl-C does: with the programs that it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def hide_traceback() -> None:
    """Print a sentence instead of a traceback if Ctrl-C ends a command that is still importing its modules."""
    sys.excepthook = _print


def _print(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(MESSAGE, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


@dataclass
class Pending:
    """How often the user has asked to end the command."""

    times: int = 0

    def receive(self, _number: int, _frame: FrameType | None) -> None:
        """Count a signal."""
        self.times += 1


@contextlib.contextmanager
def deferred() -> Iterator[Pending]:
    """Delay KeyboardInterrupt until the end of the block."""
    pending = Pending()
    # A command in the background of a shell ignores Ctrl-C, and continues to.
    numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, pending.receive) for number in numbers}
    try:
        yield pending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pending.times:
        raise KeyboardInterrupt
