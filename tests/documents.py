"""The project's documents, and the commands in them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from pathtolive.cli import COLOR
from pathtolive.toolchain import terraform
from tests.checkout import Checkout
from tests.conftest import ROOT
from tests.provider import REATTACH

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "emulator/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]

# Commands that no test runs, and the reason.
NOT_RUN = {
    "make test": "it runs the tests",
    "python -m emulator": "the tests start it on other ports, because the default port may be in use",
    "terraform -chdir=$dir init -backend-config=bucket=path-to-live-state-$account-eu-west-2 "
    "-backend-config=region=eu-west-2": "only AWS has buckets in host names; a test runs the line for local AWS",
}

SETTING = re.compile(r"(?:export )?\w+=\S+(?: \w+=\S+)*|\w+=\$\(.*\)|\w+='[^']*'")


def commands(document: Path) -> list[str]:
    """Return the commands of a document."""
    return commands_in(document.read_text())


def commands_in(text: str) -> list[str]:
    """Return the lines of a text's shell blocks, without their comments."""
    blocks = re.findall(r"^( *)```sh\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"(^|\s+)#.*", "", line).strip() for _, block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def is_setting(command: str) -> bool:
    """Return whether a line only sets variables."""
    return SETTING.fullmatch(command) is not None


def all_commands() -> set[str]:
    """Return the commands of all documents that a test must run."""
    found = {command for document in DOCUMENTS for command in commands(document) if not is_setting(command)}
    return found - NOT_RUN.keys()


def fork_commands() -> list[str]:
    """Return the commands from a fork to live, which tests/python/pipeline/test_fork.py runs."""
    readme = (ROOT / "README.md").read_text()
    (section,) = re.findall(r"^## From a fork to live\n(.*?)^## ", readme, re.MULTILINE | re.DOTALL)
    return commands_in(section)


def bootstrap_commands() -> set[str]:
    """Return the commands that prepare an account, which tests/terraform/root/test_bootstrap.py runs."""
    return {command for command in all_commands() if command.startswith("make bootstrap")} - set(fork_commands())


class Shell:
    """A terminal in a checkout, for the commands of one document.

    Each command runs in a new shell, after the variables that the document sets.
    """

    def __init__(self, checkout: Checkout, document: str, directory: str = ".") -> None:
        self.checkout = checkout
        self.text = (ROOT / document).read_text()
        self.commands = [command for command in commands(ROOT / document) if not is_setting(command)]
        lines = [line.replace(":4566", f":{checkout.port}") for line in commands(ROOT / document) if is_setting(line)]
        # Exports come first, so that the AWS CLI in a document requests the account from local AWS and not from AWS.
        lines.sort(key=lambda line: not line.startswith("export "))
        self.settings = [f"cd {directory}", *lines]
        automation = {"TF_IN_AUTOMATION", "TF_INPUT"}
        self.environment = {
            **{name: value for name, value in terraform.environment().items() if name not in automation},
            # The packages that the document installs are already installed.
            "PIP_NO_INDEX": "1",
            # Terraform starts its own provider, as for a user.
            REATTACH: "",
        }
        self.environment["PATH"] = f"{ROOT / '.venv' / 'bin'}:{self.environment['PATH']}"

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command exactly as in the document, and answer its prompt with yes."""
        assert command in self.commands, f"not in the document: {command}"
        self.checkout.ran.append(command)
        return self.checkout.execute(
            "bash", "-c", "\n".join(["set -e", *self.settings, f"{command} <<< yes"]), **self.environment
        )

    def succeed(self, command: str) -> str:
        """Run a command that must succeed, and return its output without Terraform's colors."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return COLOR.sub("", done.stdout)
