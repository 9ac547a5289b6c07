"""Run calls in reusable daemon threads.

MiniStack's ``run_reentrant`` starts a thread for each call, and a process waits for the threads of a
``ThreadPoolExecutor`` before it ends.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

# A thread that has had nothing to do for so long ends.
IDLE_SECONDS = 60


class Threads:
    """One thread per concurrent call. There is no limit, because functions that wait for each other could deadlock."""

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
        context = contextvars.copy_context()
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        # From here on, the end of the task does not cancel the call.
        done.set_running_or_notify_cancel()

        def call() -> None:
            try:
                done.set_result(context.run(function, *arguments))
            except StopIteration as error:
                # A future of asyncio does not accept it.
                done.set_exception(RuntimeError(repr(error)))
            except BaseException as error:  # noqa: BLE001 - raised where the call is awaited
                done.set_exception(error)

        self._start(call)
        return await asyncio.wrap_future(done)

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
