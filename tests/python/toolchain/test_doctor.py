"""make doctor: the installed tools, the missing tools, and the targets that respond."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pathtolive.demo import clone
from pathtolive.doctor import machine
from tests.conftest import ROOT, free_port


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project, in which local AWS is not running."""
    directory = tmp_path_factory.mktemp("doctor") / "project"
    for name in ("requirements", "scripts", "terraform"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform"))
    clone.link_installed(directory)
    return directory


def doctor(directory: Path, **environment: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit status and, by name, the state and text of each finding."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_CONFIG_FILE": "/nowhere",
    }
    done = subprocess.run(
        [sys.executable, directory / "scripts" / "doctor.py"],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    return done.returncode, {line[9:25].strip(): (line[:9].strip(), line[25:]) for line in lines}


def test_doctor_finds_the_tools_and_packages(project: Path) -> None:
    status, found = doctor(project, PORT=str(free_port()))
    assert status == 0
    assert {name for name, (state, _) in found.items() if state == "ok"} >= {
        *("Python", "git", "terraform", "AWS provider", "disk"),
        *("packages: run", "packages: demo", "packages: load", "packages: dev"),
    }
    assert found["TARGET=aws"] == ("missing", "Unable to locate credentials")
    assert found["TARGET=local"] == ("missing", "Local AWS is not running. Start it with: make local")


def test_doctor_finds_the_target_that_answers(project: Path, endpoint: str) -> None:
    status, found = doctor(project, AWS_ENDPOINT_URL=endpoint)
    assert status == 0
    assert found["TARGET=local"] == ("ok", f"{endpoint}, account 000000000000, deployed: nothing")


def test_doctor_finds_the_endpoint_that_does_not_answer(project: Path) -> None:
    status, found = doctor(project, AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}", AWS_MAX_ATTEMPTS="1")
    assert status == 1
    assert found["TARGET=local"][0] == "problem"


def test_doctor_finds_a_port_in_use(project: Path, endpoint: str) -> None:
    port = endpoint.rpartition(":")[2]
    status, found = doctor(project, PORT=port)
    assert status == 1
    assert found["TARGET=local"] == (
        "problem",
        f"port {port} is in use. Choose another: make local PORT={int(port) + 1}",
    )


def test_doctor_finds_a_mirror_without_the_provider(project: Path, tmp_path: Path) -> None:
    status, found = doctor(project, TF_PLUGIN_MIRROR=str(tmp_path), PORT=str(free_port()))
    assert status == 1
    assert found["AWS provider"][0] == "problem"


def test_doctor_runs_before_anything_is_installed(tmp_path: Path) -> None:
    """Run it without packages and without .venv, as in a new clone."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    done = subprocess.run(
        [sys.executable, "-S", tmp_path / "scripts" / "doctor.py"],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "problem  packages: run   for the commands and local AWS. Install them with: make local" in done.stdout
    assert "missing  targets         not checked" in done.stdout


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a .venv whose only package is six 1.17.0, and a lock file that requires it."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages" / "six-1.17.0.dist-info"
    packages.mkdir(parents=True)
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: six\nVersion: 1.17.0\n")
    (tmp_path / ".run").touch()
    (tmp_path / "requirements").mkdir()
    monkeypatch.setattr(machine, "VENV", tmp_path)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("locked", "state", "text"),
    [
        ("six==1.17.0 \\\n", "ok", "1 in .venv"),
        ("six==1.18.0 \\\n", "problem", "six 1.17.0, not 1.18.0"),
        ("six==1.17.0 \\\nrich==1.0 \\\n", "problem", "rich missing, not 1.0"),
        ("six==1.17.0 \\\nrich==1.0 ; sys_platform == 'win32' \\\n", "ok", "2 in .venv"),
    ],
)
def test_doctor_compares_packages_with_the_lock_file(venv: Path, locked: str, state: str, text: str) -> None:
    (venv / "requirements" / "run.txt").write_text(locked)
    (found,) = (each for each in machine.findings() if each.name == "packages: run")
    assert (found.state, text in found.text) == (state, True)


def test_doctor_finds_an_interrupted_installation(venv: Path) -> None:
    (venv / "requirements" / "run.txt").write_text("six==1.17.0 \\\n")
    (venv / ".installing").touch()
    (found,) = (each for each in machine.findings() if each.name == "packages: run")
    assert found.state == "problem"
