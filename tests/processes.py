"""The processes that tests start. None may outlive the run that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

# All processes of a run inherit this variable, even if their parent has ended. A run within a run adds its name.
MARK = "PATH_TO_LIVE_TEST_RUNS"
# The time for processes that end by themselves, such as git's maintenance in the background.
GRACE_SECONDS = 5
END_SECONDS = 10


def mark() -> str:
    """Mark all processes that this process starts from now on, and return the name of this run."""
    run = uuid.uuid4().hex
    os.environ[MARK] = ":".join(filter(None, [os.environ.get(MARK), run]))
    return run


def of_run(run: str) -> list[psutil.Process]:
    """Return the processes of a run, except for this process."""
    children = set(psutil.Process().children(recursive=True))
    return _found(lambda each: each in children or run in each.environ().get(MARK, "").split(":"))


def below(directory: Path) -> list[psutil.Process]:
    """Return the processes that run in a directory or were started from there, except for this process."""

    def inside(path: str) -> bool:
        return Path(path).is_absolute() and Path(path).is_relative_to(directory)

    return _found(lambda each: inside(each.cwd()) or any(map(inside, each.cmdline())))


def with_argument(argument: str) -> list[psutil.Process]:
    """Return the children of this process whose command has an argument."""
    children = set(psutil.Process().children())
    return _found(lambda each: each in children and argument in each.cmdline())


def end_all(processes: Sequence[psutil.Process]) -> None:
    """End processes, and wait until they have ended."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        _, processes = psutil.wait_procs(processes, timeout=END_SECONDS)


def runs(process: psutil.Process) -> bool:
    """Return whether a process has not ended: the entry of an ended one stays until its parent has asked for it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def describe(process: psutil.Process) -> str:
    """Return the id, the command, and the directory of a process."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())} (in {process.cwd()})"
    except psutil.Error:
        return f"{process.pid}, which has ended since"


def start(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: int = subprocess.PIPE,
    stderr: int | None = subprocess.STDOUT,
) -> subprocess.Popen[str]:
    """Start a command without input, in a process group of its own."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stderr: int = subprocess.STDOUT,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. If the test is interrupted, end the command and all its child processes.

    Raises:
        subprocess.TimeoutExpired: it took longer than ``seconds``.
    """
    with start(command, cwd=cwd, env=env, stderr=stderr) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException:
            interrupt(process)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def interrupt(process: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float = END_SECONDS) -> None:
    """End a process group as Ctrl-C does, and kill the remaining processes after some seconds."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def terminate(process: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float = 30) -> None:
    """End a process, and kill it if it takes longer than some seconds.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    process.terminate()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _found(matches: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        # Access to the processes of other users is denied, and any process may end in the meantime.
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and runs(process) and matches(process):
                found.append(process)
    return found
