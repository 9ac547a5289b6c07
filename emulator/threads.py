"""Run calls in reusable threads. MiniStack's ``run_reentrant`` starts a thread for each call."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

# A thread that has had nothing to do for so long ends.
IDLE_SECONDS = 60


class Threads:
    """One thread per concurrent call, without a limit: with one, functions that wait for each other could deadlock."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        # How many more calls can be queued before another thread is needed: waiting threads minus queued calls.
        self._idle = 0

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a thread, with the context of this task. If the task is canceled, the call continues.

        Raises:
            BaseException: the function raises it.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def call() -> None:
            try:
                deliver, outcome = _set_result, context.run(function, *arguments)
            except BaseException as error:  # noqa: BLE001 - raised where the call is awaited
                # A future does not accept this one.
                stops = isinstance(error, StopIteration)
                deliver, outcome = _set_exception, RuntimeError(repr(error)) if stops else error
            # The loop is closed if the server has stopped in the meantime.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(deliver, done, outcome)

        self._start(call)
        return await done

    def _start(self, call: Callable[[], None]) -> None:
        with self._lock:
            waits = self._idle > 0
            self._idle -= waits
        if not waits:
            # As a daemon, it doesn't keep the process from ending.
            threading.Thread(target=self._work, name="call", daemon=True).start()
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            try:
                self._calls.get(timeout=IDLE_SECONDS)()
            except queue.Empty:
                with self._lock:
                    if self._idle > 0:
                        self._idle -= 1
                        return
                continue
            with self._lock:
                self._idle += 1


def _set_result(done: asyncio.Future[Any], outcome: Any) -> None:
    if not done.cancelled():
        done.set_result(outcome)


def _set_exception(done: asyncio.Future[Any], outcome: BaseException) -> None:
    if not done.cancelled():
        done.set_exception(outcome)
