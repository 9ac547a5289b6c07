"""Threads that are reused."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from emulator import threads
from emulator.threads import Threads
from tests.waiting import eventually

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


def test_thread_is_used_again() -> None:
    pool = Threads()

    async def run() -> tuple[int, int]:
        first = await pool.run(threading.get_ident)
        eventually(lambda: pool._idle == 1)
        before = threading.active_count()
        second = await pool.run(threading.get_ident)
        assert threading.active_count() == before
        return first, second

    first, second = asyncio.run(run())
    assert first == second != threading.get_ident()


def test_calls_do_not_wait_for_each_other() -> None:
    """Each call waits for the next one, as a function that invokes another does."""
    pool, number = Threads(), 200

    async def run() -> list[int]:
        loop = asyncio.get_running_loop()

        def call(left: int) -> list[int]:
            if not left:
                return []
            return [left, *asyncio.run_coroutine_threadsafe(pool.run(call, left - 1), loop).result(30)]

        return list(await pool.run(call, number))

    for _ in range(2):
        assert asyncio.run(run()) == list(range(number, 0, -1))


def test_call_has_the_context_of_its_task_and_changes_a_copy() -> None:
    pool = Threads()

    def call() -> str:
        found = VARIABLE.get()
        VARIABLE.set("changed")
        return found

    async def run() -> list[str]:
        VARIABLE.set("mine")
        return [await pool.run(call), VARIABLE.get()]

    assert asyncio.run(run()) == ["mine", "mine"]


@pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError, GeneratorExit])
def test_error_is_raised_where_the_call_is_awaited(error: type[BaseException]) -> None:
    pool = Threads()

    def call() -> None:
        raise error("wrong")

    for _ in range(2):
        with pytest.raises(error, match="wrong"):
            asyncio.run(pool.run(call))
    assert asyncio.run(pool.run(int, "7")) == 7


def test_end_of_an_iteration_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(Threads().run(next, iter(())))


def test_canceled_call_continues_and_its_thread_is_used_again() -> None:
    pool, begun, end, done = Threads(), threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        assert end.wait(30)
        done.set()

    async def run() -> None:
        task = asyncio.create_task(pool.run(call))
        assert await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not done.is_set()
        end.set()
        eventually(lambda: pool._idle == 1)
        assert done.is_set()
        # The loop delivers what the call returned.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    errors: list[object] = []
    asyncio.run(run())
    assert errors == []
    assert asyncio.run(pool.run(int, "7")) == 7


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.05)
    pool, found = Threads(), []

    async def run() -> None:
        barrier = threading.Barrier(3)

        def call() -> None:
            found.append(threading.current_thread())
            barrier.wait(30)

        await asyncio.gather(*(pool.run(call) for _ in range(3)))

    asyncio.run(run())
    assert len(set(found)) == 3
    eventually(lambda: not any(thread.is_alive() for thread in found))
    assert pool._idle == 0
    assert asyncio.run(pool.run(int, "7")) == 7
