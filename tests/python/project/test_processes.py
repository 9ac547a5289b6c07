"""No process outlives the tests that started it, even if a test fails or is interrupted."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests import processes
from tests.checkout import Checkout
from tests.waiting import eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
pytestmark = pytest.mark.long
HEADING = "processes that the tests left running"
# Tests that leave local AWS running, and the exit status of their run.
LEAVES = {
    "a process that is forgotten": (
        """
        def test_forgets():
            emulator = f"exec {sys.executable} -m emulator --port {free_port()}"
            subprocess.run(["sh", "-c", f"({emulator}) > log 2>&1 &"], check=True)
        """,
        1,
    ),
    "a worker that crashes": (
        """
        def test_crashes(endpoint):
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        1,
    ),
}
IMPORTS = "import os, pathlib, signal, subprocess, sys, time, pytest\nfrom tests.conftest import free_port\n"


class Interrupt(BaseException):
    """The interruption of a test."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with Checkout(tmp_path_factory.mktemp("processes") / "checkout") as checkout:
        yield checkout


def write(checkout: Checkout, source: str) -> list[str]:
    """Write a module of tests, and return the command that runs it in one worker."""
    (checkout.path / "tests" / "python" / "test_it.py").write_text(IMPORTS + textwrap.dedent(source))
    options = ["-p", "no:cacheprovider", "--numprocesses", "1", "tests/python/test_it.py"]
    return [sys.executable, "-m", "pytest", *options]


@pytest.mark.parametrize("leaves", LEAVES)
def test_run_fails_for_processes_that_it_leaves_running_and_ends_them(checkout: Checkout, leaves: str) -> None:
    source, status = LEAVES[leaves]
    done = checkout.execute(*write(checkout, source))
    assert (done.returncode, HEADING in done.stdout) == (status, True), done.stdout + done.stderr
    assert "-m emulator --port" in done.stdout[done.stdout.index(HEADING) :]
    assert processes.below(checkout.path) == []


def test_run_that_leaves_nothing_running_passes(checkout: Checkout) -> None:
    done = checkout.execute(*write(checkout, "def test_passes(endpoint): pass"))
    assert (done.returncode, HEADING in done.stdout) == (0, False), done.stdout + done.stderr
    assert processes.below(checkout.path) == []


# Job control, a closed terminal, or CI sends the last two signals to all processes of the run.
@pytest.mark.parametrize(
    ("number", "send"), [(signal.SIGINT, os.kill), (signal.SIGTERM, os.killpg), (signal.SIGHUP, os.killpg)]
)
def test_run_that_is_interrupted_leaves_nothing_running(
    checkout: Checkout, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    begun = checkout.path / f"begun-{number}"
    source = f"""
        @pytest.fixture
        def background():
            command = [sys.executable, "-m", "emulator", "--port", str(free_port())]
            process = subprocess.Popen(command, start_new_session=True)
            yield
            process.terminate()
            process.wait()

        def test_waits(background):
            pathlib.Path({str(begun)!r}).touch()
            time.sleep(600)
    """
    # Started as in the background of a shell, which makes it ignore SIGINT.
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *write(checkout, source)]
    process = subprocess.Popen(
        command, cwd=checkout.path, env=checkout.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        eventually(begun.exists, seconds=60)
        running = [" ".join(each.cmdline()) for each in processes.below(checkout.path)]
        send(process.pid, number)
        output, _ = process.communicate(timeout=60)
    finally:
        processes.interrupt(process)
    assert (process.returncode, HEADING in output) == (pytest.ExitCode.INTERRUPTED, False), output
    assert any("-m emulator" in each for each in running)
    assert processes.below(checkout.path) == []


@pytest.mark.clone
def test_checkout_fails_for_processes_that_make_stop_leaves_running_and_ends_them(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout")
    process = subprocess.Popen(SLEEP, cwd=checkout.path)
    with pytest.raises(AssertionError, match=r"left these processes running in the clone:\n\d+ .*time.sleep"), checkout:
        pass
    assert process.poll() is not None


@pytest.mark.clone
def test_checkout_fails_if_make_stop_fails(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout")
    (checkout.path / "Makefile").write_text("")
    with pytest.raises(AssertionError, match="No rule to make target"), checkout:
        pass


def test_interrupted_test_ends_its_command_and_all_child_processes(checkout: Checkout) -> None:
    started = checkout.path / "started"

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if started.exists() and started.read_text().endswith("\n"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(Interrupt):
            checkout.execute("sh", "-c", f"{shlex.join(SLEEP)} & echo $! > started; wait")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    eventually(lambda: processes.below(checkout.path) == [])
