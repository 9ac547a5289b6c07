"""Clones of the project in which tests run its commands as a user does."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3

from pathtolive.demo import clone
from tests import processes, provider
from tests.conftest import ROOT, SPEED, free_port


class Checkout:
    """A clone of the project that contains only committed and uncommitted files, and shares the installed tools.

    As a context manager, it ends all processes of the clone. ``settings`` are variables for all its commands.
    """

    def __init__(self, path: Path, **settings: str) -> None:
        self.path = path
        self.settings = settings
        listed = subprocess.check_output(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, text=True
        )
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / name)
        clone.link_installed(path)
        self.port = str(free_port())
        self.ran: list[str] = []
        self.exits = contextlib.ExitStack()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("Begin")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.exits.close()
        finally:
            self.stop()

    def keep_provider(self) -> None:
        """Use one AWS provider for all later commands, because its start takes most of their time."""
        self._provider = self.exits.enter_context(contextlib.ExitStack())
        (self.path.parent / "provider").mkdir()
        (self.path / ".local" / "provider").mkdir()
        self.restart_provider()

    def restart_provider(self) -> None:
        """End the provider, and start another one, after Terraform was killed or has lost its endpoint.

        Otherwise, the provider would continue to send Terraform's requests.
        """
        self._provider.close()
        # The artifact has the same relative path from here as from .local/terraform, which commands may delete.
        started = provider.running(self.path.parent / "provider", self.endpoint, self.path / ".local" / "provider")
        self.settings |= self._provider.enter_context(started)

    def stop(self) -> None:
        """Run ``make stop``, and fail if that leaves processes of the clone running."""
        try:
            done = self.run("make stop")
        finally:
            left = processes.below(self.path)
            described = [processes.describe(process) for process in left]
            processes.end_all(left)
        assert done.returncode == 0, f"make stop\n{done.stdout}\n{done.stderr}"
        assert not described, "\n".join(["make stop left these processes running in the clone:", *described])

    @property
    def environment(self) -> dict[str, str]:
        """Return the developer's environment without settings that affect the commands, such as exports of make."""
        not_passed_on = ("GITHUB_", "PYTEST_")
        kept = {name: value for name, value in clone.kept_environment().items() if not name.startswith(not_passed_on)}
        if kept.pop("COVERAGE_PROCESS_CONFIG", None):
            # Coverage counts for the original files: see [tool.coverage.paths] there.
            kept["COVERAGE_PROCESS_START"] = str(self.path / "tests" / "coverage.toml")
            kept["COVERAGE_FILE"] = str(ROOT / ".coverage")
        return kept | {"PORT": self.port, "SPEED": str(SPEED)} | self.settings

    @property
    def endpoint(self) -> str:
        """Return the URL of the local AWS that the clone starts."""
        return f"http://127.0.0.1:{self.port}"

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.ran.append(command)
        return self.execute(*command.split(), **environment)

    def execute(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return processes.run(command, cwd=self.path, env=self.environment | environment, stderr=subprocess.PIPE)

    @contextlib.contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Run a command in the meantime, as in a second terminal, and end it with Ctrl-C."""
        self.ran.append(command)
        process = processes.start(
            command.split(), cwd=self.path, env=self.environment, stdout=subprocess.DEVNULL, stderr=None
        )
        try:
            yield
        finally:
            processes.interrupt(process, 30)

    def make(self, targets: str, **environment: str) -> str:
        done = self.run(f"make {targets}", **environment)
        assert done.returncode == 0, f"make {targets}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def git(self, *arguments: str) -> str:
        return clone.git(*arguments, cwd=self.path)

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, name: Path | str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert old in text
        (self.path / name).write_text(text.replace(old, new))

    def status(self) -> dict[str, dict[str, Any]]:
        return {row["stage"]: row for row in json.loads(self.make("--silent status TARGET=local JSON=1"))}

    def versions(self) -> dict[str, str]:
        return {stage: row["function_version"] for stage, row in self.status().items()}

    def state_machine(self, stage: str) -> str:
        """Return the ARN of the state machine that runs the releases of a stage."""
        machines = self.client("stepfunctions").list_state_machines()["stateMachines"]
        arns = {machine["name"]: machine["stateMachineArn"] for machine in machines}
        return str(arns[f"path-to-live-{stage}-release"])

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name="eu-west-2",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - any will do
        )
