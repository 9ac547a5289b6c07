"""Interrupt commands in a clone of the project, and run them again until they have succeeded."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from pathtolive import cli, local_aws
from tests import processes, proxy
from tests.checkout import Checkout
from tests.conftest import free_port

CONFIG = Path(".local/terraform/config.tf")
FUNCTION = "path-to-live"
END_SECONDS = 180
ATTEMPTS = 4
# The commands that errors name.
NAMED = re.compile(r"make (?:build )?(?:deploy|destroy|local|promote|record|release|rollback|unlock)(?: \w+=[\w-]+)*")
# A release, promotion, or rollback is refused if it was completed and recorded.
COMPLETED = re.compile(r"already runs version \d+|has been running version \d+ again .* For other versions")


@dataclass(frozen=True)
class Running:
    """A command, in a process group of its own, as a terminal starts it. Its output goes to a file."""

    process: subprocess.Popen[str]
    output: IO[str]

    def wait(self) -> str:
        """Wait until it ends, and return what it printed. If the test is interrupted, end all its processes."""
        with self.output:
            try:
                self.process.wait(timeout=END_SECONDS)
            except BaseException:
                processes.end_all(self.processes())
                raise
        return Path(self.output.name).read_text()

    def lose_power(self) -> None:
        """Kill all its processes, as a power failure does."""
        # A process that is stopped cannot react to the end of another, or start one.
        for send in (psutil.Process.suspend, psutil.Process.kill):
            for each in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    send(each)

    def kill_script(self) -> None:
        """Kill the Python process of the command. Programs that it has started continue."""
        for each in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any("scripts/" in part for part in each.cmdline()):
                    each.kill()

    def press_ctrl_c(self) -> None:
        """Send SIGINT to the process group, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def press_ctrl_c_twice(self) -> None:
        """Send SIGINT to the process group twice."""
        self.press_ctrl_c()
        time.sleep(0.3)
        with contextlib.suppress(ProcessLookupError):
            self.press_ctrl_c()

    def terminate_make(self) -> None:
        """Send SIGTERM to make alone."""
        self.process.terminate()

    def terminate_group(self) -> None:
        """Send SIGTERM to the process group."""
        os.killpg(self.process.pid, signal.SIGTERM)

    def processes(self) -> list[psutil.Process]:
        """Return its processes, parents first."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            found = [first, *first.children(recursive=True)]
        return [each for each in found if processes.runs(each)]


@dataclass(frozen=True)
class Seen:
    """What the function of a clone has on AWS, and the clone's config.tf."""

    aliases: dict[str, str]
    weights: dict[str, dict[str, float]]
    versions: dict[str, str]
    config: str


class Clone(Checkout):
    """A clone whose commands reach local AWS through a proxy."""

    proxy: proxy.Proxy
    behind: str

    def interpose(self) -> None:
        """Start the proxy, and let commands take its port for that of local AWS."""
        lock = self.path / local_aws.LOCK.relative_to(cli.ROOT)
        running = json.loads(lock.read_text())
        self.behind, self.port = self.endpoint, str(free_port())
        self.proxy = self.exits.enter_context(proxy.running(int(self.port), running["port"]))
        lock.write_text(json.dumps(running | {"port": int(self.port)}))

    def start(self, command: str, **environment: str) -> Running:
        output = (self.path.parent / f"output-{len(self.ran)}").open("w")
        self.ran.append(command)
        process = subprocess.Popen(
            command.split(),
            cwd=self.path,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return Running(process, output)

    def interrupt(
        self,
        command: str,
        send: Callable[[Running], None],
        *,
        number: int = 1,
        pattern: str = "",
        answered: bool = False,
        **environment: str,
    ) -> tuple[int, str]:
        """Run a command, interrupt it at a request, and return its exit status and its output.

        In a power failure, the request is lost or, if it is ``answered``, the response.
        """
        started = threading.Event()
        running: list[Running] = []

        def interrupt() -> bool:
            started.wait()
            send(running[0])
            return send is not Running.lose_power

        moment = proxy.Moment(interrupt, number, pattern, answered)
        self.proxy.begin(moment)
        running.append(self.start(command, **environment))
        started.set()
        said = running[0].wait()
        # Terraform continues if only the script is killed, and so does its provider. Else, both have ended.
        if send is not Running.kill_script:
            self.restart_provider()
        assert moment.reached, f"{command} sent only {len(self.proxy.requests)} requests:\n{said}"
        return running[0].process.returncode, f"{said}[interrupted at {moment.reached}]\n"

    def complete(self, command: str, **environment: str) -> list[str]:
        """Run a command until it succeeds, after the commands that its errors name; return what each printed."""
        said: list[str] = []
        for _ in range(ATTEMPTS):
            running = self.start(command, **environment)
            printed = running.wait()
            said.append(f"$ {command}\n{printed}")
            if running.process.returncode == 0 or COMPLETED.search(printed):
                return said
            named = dict.fromkeys(NAMED.findall(printed))
            assert named, "\n".join(["This names no command to run:", *said])
            for each in named:
                if each != command:
                    said += self.complete(each, **environment)
        raise AssertionError("\n".join(["This does not succeed:", *said]))

    def see(self) -> Seen:
        functions, config = self.client("lambda"), self.path / CONFIG
        try:
            aliases = functions.list_aliases(FunctionName=FUNCTION)["Aliases"]
            versions = functions.list_versions_by_function(FunctionName=FUNCTION)["Versions"]
        except functions.exceptions.ResourceNotFoundException:
            aliases, versions = [], []
        return Seen(
            {alias["Name"]: alias["FunctionVersion"] for alias in aliases},
            {alias["Name"]: alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}) for alias in aliases},
            {each["Version"]: each["CodeSha256"] for each in versions if each["Version"] != "$LATEST"},
            config.read_text() if config.exists() else "",
        )
