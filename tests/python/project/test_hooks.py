"""Every hook of pre-commit and every command of ``make check`` refuses a bad file."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkout import Checkout
from tests.conftest import ROOT

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Sample:
    """A file with a fault, the expected message, and the file without the fault.

    ``formatted`` is whether a hook fixes the file. The commands of ``make check`` change nothing.
    """

    path: str
    bad: str
    says: str
    good: str
    formatted: bool = False


UNDEFINED = Sample(
    "lambda/sample.py",
    '"""Sample."""\n\nANSWER = question\n',
    "F821 Undefined name `question`",
    '"""Sample."""\n\nANSWER = 42\n',
)
UNUSED = Sample(
    "tests/sample.py",
    '"""Sample."""\n\nimport json\n\nANSWER = 42\n',
    "Found 1 error (1 fixed, 0 remaining)",
    '"""Sample."""\n\n\nANSWER = 42\n',
    formatted=True,
)
SPACES = Sample(
    "emulator/sample.py",
    '"""Sample."""\n\nANSWER  =  42\n',
    "reformat",
    '"""Sample."""\n\nANSWER = 42\n',
    formatted=True,
)
TYPES = Sample(
    "scripts/sample.py",
    '"""Sample."""\n\nANSWER: int = "forty-two"\n',
    "Incompatible types in assignment",
    '"""Sample."""\n\nANSWER: int = 42\n',
)
ALIGNED = "locals {\n  answer   = 42\n  question = null\n}\n"
TERRAFORM = Sample(
    "terraform/sample.tf", ALIGNED.replace("answer  ", "answer"), "terraform/sample.tf", ALIGNED, formatted=True
)
FIXTURE = Sample(
    "tests/terraform/applied/fixtures/sample.tf",
    TERRAFORM.bad,
    "tests/terraform/applied/fixtures/sample.tf",
    ALIGNED,
    formatted=True,
)
BRACE = Sample("terraform/modules/api/sample.tf", "locals {\n", "Unclosed configuration block", ALIGNED)
UNDECLARED = "locals {\n  answer = local.question\n}\n"
ROOT_MODULE = Sample("terraform/sample.tf", UNDECLARED, "Reference to undeclared local value", ALIGNED)
BOOTSTRAP = Sample("terraform/bootstrap/sample.tf", UNDECLARED, "Reference to undeclared local value", ALIGNED)
# A warning, which --strict turns into an error. GitHub reads workflows from this hidden directory.
JOB = """name: Sample
on: pull_request
permissions: {}
concurrency: {group: sample, cancel-in-progress: true}
jobs:
  job:
    runs-on: ubuntu-24.04
    steps:
"""
YAML = Sample(".github/workflows/sample.yml", "answer: yes\n", "truthy value should be one of", "answer: true\n")
# Anybody who opens a pull request would run a command of their own.
INJECTION = Sample(
    ".github/workflows/sample.yml",
    f"{JOB}      - run: echo ${{{{ github.event.pull_request.title }}}}\n",
    "template-injection",
    f'{JOB}      - run: echo "$TITLE"\n        env:\n          TITLE: ${{{{ github.event.pull_request.title }}}}\n',
)
SHELL = Sample("docs/sample", "#!/bin/sh\necho $1\n", "SC2086", '#!/bin/sh\necho "$1"\n')

HOOKS: Mapping[str, Sequence[Sample]] = {
    "ruff-check": [UNDEFINED, UNUSED],
    "ruff-format": [SPACES],
    "mypy": [TYPES],
    "terraform-fmt": [TERRAFORM, FIXTURE, BRACE],
    "yamllint": [YAML],
    "shellcheck": [SHELL],
}
# The keys identify the commands.
CHECKS: Mapping[str, Sequence[Sample]] = {
    "ruff check": [UNDEFINED],
    "ruff format": [SPACES],
    "mypy": [TYPES],
    "terraform fmt": [TERRAFORM, FIXTURE, BRACE],
    "validate": [ROOT_MODULE, BOOTSTRAP],
    "yamllint": [YAML],
    "zizmor": [INJECTION],
    "shellcheck": [SHELL],
}


def each(samples: Mapping[str, Sequence[Sample]]) -> pytest.MarkDecorator:
    cases = [(name, sample) for name, found in samples.items() for sample in found]
    return pytest.mark.parametrize(("name", "sample"), cases, ids=[f"{name}-{sample.path}" for name, sample in cases])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield a clone in which a single module replaces each of the largest packages, so that checks are fast."""
    with Checkout(tmp_path_factory.mktemp("hooks") / "checkout") as checkout:
        for package in ("emulator", "tests"):
            shutil.rmtree(checkout.path / package)
            (checkout.path / package).mkdir()
            (checkout.path / package / "__init__.py").write_text(f'"""Stands for {package}."""\n')
        checkout.commit("Leave out what takes long to check")
        yield checkout


@pytest.fixture
def clean(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """Yield the clone in its committed state, with separate settings of pre-commit."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(checkout.path / ".local" / "pre-commit"))
    monkeypatch.delenv("SKIP", raising=False)
    yield checkout
    checkout.git("reset", "--quiet", "--hard")


def write(checkout: Checkout, sample: Sample, text: str) -> Path:
    """Write a file and stage it, because pre-commit checks only files in git's index."""
    path = checkout.path / sample.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if text.startswith("#!"):
        path.chmod(0o755)
    checkout.git("add", sample.path)
    return path


def hook(checkout: Checkout, name: str, path: str) -> subprocess.CompletedProcess[str]:
    return checkout.execute(".venv/bin/pre-commit", "run", name, "--files", path)


def commands(checkout: Checkout) -> list[str]:
    """Return the commands of ``make check``."""
    return checkout.make("--dry-run check").replace("\\\n", " ").strip().splitlines()


def command(checkout: Checkout, name: str) -> str:
    (found,) = (line for line in commands(checkout) if name in line)
    return found


def test_every_hook_has_a_file_that_it_refuses() -> None:
    configuration = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"\bid: *(\S+)", configuration) == list(HOOKS)


@each(HOOKS)
def test_hook_refuses_a_bad_file_and_prints_the_reason(clean: Checkout, name: str, sample: Sample) -> None:
    path = write(clean, sample, sample.bad)
    done = hook(clean, name, sample.path)
    assert (done.returncode, sample.says in done.stdout) == (1, True), done.stdout + done.stderr
    assert path.read_text() == (sample.good if sample.formatted else sample.bad)


@each(HOOKS)
def test_hook_accepts_a_good_file(clean: Checkout, name: str, sample: Sample) -> None:
    write(clean, sample, sample.good)
    done = hook(clean, name, sample.path)
    # pre-commit skips a hook that does not apply to the file, with the same exit status.
    assert (done.returncode, "Passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_hooks_installed_as_in_contributing_refuse_a_commit(clean: Checkout) -> None:
    (install,) = re.findall(r"`(\S+pre-commit [^`]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    done = clean.run(install)
    assert done.returncode == 0, done.stdout + done.stderr
    commit = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--message", "Add a file"]
    write(clean, YAML, YAML.bad)
    assert clean.execute(*commit).returncode == 1
    write(clean, YAML, YAML.good)
    added = clean.execute(*commit)
    assert added.returncode == 0, added.stdout + added.stderr
    clean.git("reset", "--quiet", "--hard", "HEAD~")
    clean.execute(".venv/bin/pre-commit", "uninstall")


def test_every_command_of_make_check_has_a_file_that_it_refuses(clean: Checkout) -> None:
    assert [[name for name in CHECKS if name in line] for line in commands(clean)] == [[name] for name in CHECKS]


@each(CHECKS)
def test_command_of_make_check_refuses_a_bad_file_and_prints_the_reason(
    clean: Checkout, name: str, sample: Sample
) -> None:
    path = write(clean, sample, sample.bad)
    done = clean.execute("bash", "-c", command(clean, name))
    assert done.returncode != 0, done.stdout + done.stderr
    assert sample.says in done.stdout + done.stderr
    assert path.read_text() == sample.bad


@pytest.mark.parametrize("name", CHECKS)
def test_command_of_make_check_accepts_good_files(clean: Checkout, name: str) -> None:
    for sample in CHECKS[name]:
        write(clean, sample, sample.good)
    done = clean.execute("bash", "-c", command(clean, name))
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_check_fails_if_one_of_its_commands_fails(clean: Checkout) -> None:
    write(clean, UNDEFINED, UNDEFINED.bad)
    done = clean.run("make check")
    assert done.returncode != 0
    assert UNDEFINED.says in done.stdout


def test_make_ignores_no_exit_status() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert not re.search(r"^\t[@+]*-|^\.IGNORE|\|\| *true", makefile, re.MULTILINE)
