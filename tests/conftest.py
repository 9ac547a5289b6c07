"""Fixtures for all tests: an AWS endpoint and its clients."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import localstack_client.config
import localstack_client.session
import psutil
import pytest
from hypothesis import settings

from pathtolive import ports
from tests import processes, stories
from tests.waiting import eventually

# A shell that starts the tests in the background makes them and their commands ignore Ctrl-C.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
REGION = "eu-west-2"
# The speed of local AWS: a minute of metrics, waits, and alarms takes a second.
SPEED = 60
# The files that take more than half a minute, the longest first.
LONGEST = (
    "test_permissions.py",
    "test_release_commands.py",
    "test_rehearsal.py",
    "test_path.py",
    "test_deploy_commands.py",
    "test_two_machines.py",
    "test_interruptions.py",
    "test_local_aws_ends.py",
    "test_release_applied.py",
    "test_engine.py",
    "test_stack.py",
    "test_engine_faults.py",
    "test_reference.py",
    "test_simulation.py",
    "test_bootstrap.py",
    "test_scans.py",
    "test_validations.py",
    "test_restart.py",
    "test_hooks.py",
    "test_background.py",
    "test_rules.py",
    "test_commands.py",
    "test_stress.py",
)

# A busy machine can pause an example for longer than the deadline of Hypothesis, 200 ms.
settings.register_profile("tests", deadline=None, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=1000)
RUN = pytest.StashKey[str]()
LEFT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Mark the processes of this run. The workers of pytest-xdist are a part of it."""
    settings.load_profile(config.getoption("--hypothesis-profile") or "tests")
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = processes.mark()
    # Fixtures must end their processes after any signal. Commands in the background of a shell ignore SIGINT, and so
    # would the commands that the tests end with Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """End the processes that this run leaves running after all fixtures, and fail the run if there are any."""
    yield
    if RUN not in session.config.stash:
        return
    _, left = psutil.wait_procs(processes.of_run(session.config.stash[RUN]), timeout=processes.GRACE_SECONDS)
    session.config.stash[LEFT] = [processes.describe(process) for process in left]
    processes.end_all(left)
    if left and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the processes that were left running."""
    if left := terminalreporter.config.stash.get(LEFT, []):
        terminalreporter.section("processes that the tests left running", sep="=", red=True, bold=True)
        for process in left:
            terminalreporter.line(process, red=True)
        terminalreporter.line("The run fails, and the processes were ended. Stop them in the tests that start them.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their needs, for ``make test-local`` and ``make test-fast``, and order their files."""
    for item in items:
        fixtures = item.fixturenames if isinstance(item, pytest.Function) else ()
        for fixture, marker in (("endpoint", "endpoint"), ("checkout", "clone")):
            if fixture in fixtures:
                item.add_marker(marker)
        if not any(map(item.get_closest_marker, ("clone", "endpoint", "long"))):
            item.add_marker("fast")
    # The longest files run first, so that all workers end at about the same time.
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    stories.require_earlier_steps(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    stories.record(item, report)
    return report


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """Remove the developer's AWS settings from the tests, except for the endpoint."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "TF_"))]:
            if name not in {"AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "TF_PLUGIN_MIRROR"}:
                patch.delenv(name)
        # Terraform reads AWS_REGION, boto3 AWS_DEFAULT_REGION.
        patch.setenv("AWS_REGION", REGION)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # Terraform and its provider read 40 MB of schemas at each start, and spend a fifth of it on garbage collection.
        # https://pkg.go.dev/runtime#hdr-Environment_Variables
        patch.setenv("GOGC", os.environ.get("GOGC", "400"))
        yield


@pytest.fixture(scope="session")
def endpoint(_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the endpoint from the variables of localstack-client, or start local AWS for these tests."""
    with contextlib.ExitStack() as stack:
        if {"AWS_ENDPOINT_URL", "LOCALSTACK_HOST"} & os.environ.keys():
            url = localstack_client.config.get_service_endpoint("lambda")
        else:
            url = stack.enter_context(local_aws(tmp_path_factory.mktemp("local-aws") / "log"))
        # Terraform and the commands read this variable.
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("AWS_ENDPOINT_URL", url)
        yield url


@pytest.fixture(scope="session")
def client(endpoint: str) -> Callable[[str], Any]:
    """Return a function that returns the boto3 client of a service."""
    session = localstack_client.session.Session(region_name=REGION)
    clients: dict[str, Any] = {}

    def get(service: str) -> Any:
        if service not in clients:
            clients[service] = session.client(service)
        return clients[service]

    return get


@pytest.fixture(scope="session")
def minute(endpoint: str) -> float:
    """Return the number of seconds that a minute of metrics, waits, and alarms takes."""
    return 60 if "amazonaws.com" in endpoint else 60 / SPEED


def examples(number: int) -> int:
    """Return the number of examples for Hypothesis: the given number, or ten times as many in ``make test-all``."""
    return number * settings().max_examples // 100


def get(url: str) -> tuple[int, str]:
    """Return the status and the body of the answer of a URL."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def free_port() -> int:
    """Return a free port from the range of this worker."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return ports.free(range(10_000 + 1_000 * worker, 11_000 + 1_000 * worker))


@contextlib.contextmanager
def local_aws(log: Path, *arguments: str) -> Iterator[str]:
    """Run ``python -m emulator`` on a free port, and yield its URL."""
    port = free_port()
    process = start_local_aws(log, port, *arguments)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.terminate(process)


def start_local_aws(log: Path, port: int, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``python -m emulator``, and return the process when it answers."""
    command = [sys.executable, "-m", "emulator", "--port", str(port), "--speed", str(SPEED), *arguments]
    with log.open("ab") as output:
        before = output.tell()
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

    def ready() -> bool:
        # Another test run may have taken the port in the meantime, and answer instead of this process.
        return b"Local AWS answers on" in log.read_bytes()[before:] and answers(f"http://127.0.0.1:{port}")

    try:
        eventually(lambda: ready() or process.poll() is not None, 60, described=log.read_text)
        assert process.poll() is None, f"local AWS ended:\n{log.read_text()}"
    except BaseException:
        processes.terminate(process)
        raise
    return process


def answers(url: str) -> bool:
    """Return whether local AWS answers at a URL."""
    try:
        urllib.request.urlopen(f"{url}/_ministack/health", timeout=5).close()
    except OSError:
        return False
    return True
