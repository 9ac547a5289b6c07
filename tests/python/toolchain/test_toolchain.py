from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pathtolive.cli import CommandError
from pathtolive.toolchain import terraform as toolchain
from tests.conftest import ROOT

PLATFORM = toolchain.provider_platform()
VERSION = toolchain.locked_version()

WAITING = """\
resource "terraform_data" "this" {
  provisioner "local-exec" {
    command = "echo waiting; exec sleep 60"
  }
}
"""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty machine, without Terraform, a mirror, or a home directory."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.delenv("TF_PLUGIN_MIRROR", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(toolchain, "LOCAL", tmp_path / "local")
    monkeypatch.setattr(toolchain, "CLI_CONFIGURATION", tmp_path / "local" / "terraform.rc")
    monkeypatch.setattr(toolchain, "OWN_MIRROR", tmp_path / "local" / "providers")
    monkeypatch.setattr(toolchain, "SYSTEM_MIRRORS", [tmp_path / "usr" / "plugins"])
    monkeypatch.setattr(toolchain, "ADD_ON_SOFTWARE", tmp_path / "opt")
    return tmp_path


def terraform_of(machine: Path, version: str) -> Path:
    binary = machine / "bin" / "terraform"
    binary.parent.mkdir(exist_ok=True)
    binary.write_text(f"#!/bin/sh\necho '{json.dumps({'terraform_version': version})}'\n")
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return binary


def unpacked_mirror(path: Path) -> Path:
    (path / toolchain.PROVIDER / VERSION / PLATFORM).mkdir(parents=True)
    return path


def test_toolchain_uses_terraform_from_the_path(machine: Path) -> None:
    assert terraform_of(machine, "1.11.0") == toolchain.executable()


@pytest.mark.parametrize("version", ["1.10.5", "0.15.0"])
def test_toolchain_uses_terraform_from_pypi_if_that_on_the_path_is_too_old(
    machine: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    terraform_of(machine, version)
    monkeypatch.setattr(toolchain, "from_pypi", lambda: machine / "pypi")
    assert toolchain.executable() == machine / "pypi"


def test_toolchain_reads_the_version_of_a_prerelease(machine: Path) -> None:
    assert terraform_of(machine, "1.12.0-beta1") == toolchain.executable()


@pytest.mark.parametrize(
    "place",
    [
        "home/.terraform.d/plugins",
        "home/.local/share/terraform/plugins",
        "home/Library/Application Support/io.terraform/plugins",
        "usr/plugins",
        "opt/anything",
        "local/providers",
    ],
)
def test_toolchain_finds_a_mirror_in_the_usual_directories(machine: Path, place: str) -> None:
    terraform_of(machine, "1.11.4")
    mirror = unpacked_mirror(machine / place)
    configuration = Path(toolchain.environment()["TF_CLI_CONFIG_FILE"]).read_text()
    assert f'path    = "{mirror}"' in configuration


def test_toolchain_prefers_the_configured_mirror(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform_of(machine, "1.11.4")
    unpacked_mirror(machine / "opt" / "anything")
    named = unpacked_mirror(machine / "named")
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(named))
    assert str(named) in Path(toolchain.environment()["TF_CLI_CONFIG_FILE"]).read_text()


def test_toolchain_refuses_a_configured_mirror_without_the_provider(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform_of(machine, "1.11.4")
    monkeypatch.setenv("TF_PLUGIN_MIRROR", str(machine))
    with pytest.raises(CommandError, match=rf"TF_PLUGIN_MIRROR={machine} does not contain .*{VERSION} for {PLATFORM}"):
        toolchain.environment()


def test_toolchain_uses_a_packed_mirror(machine: Path) -> None:
    terraform_of(machine, "1.11.4")
    mirror = machine / "opt" / "packed"
    (mirror / toolchain.PROVIDER).mkdir(parents=True)
    (mirror / toolchain.PROVIDER / f"terraform-provider-aws_{VERSION}_{PLATFORM}.zip").touch()
    assert str(mirror) in Path(toolchain.environment()["TF_CLI_CONFIG_FILE"]).read_text()


def test_toolchain_skips_a_mirror_of_another_version(machine: Path) -> None:
    terraform_of(machine, "1.11.4")
    (machine / "opt" / "a" / toolchain.PROVIDER / "4.0.0" / PLATFORM).mkdir(parents=True)
    right = unpacked_mirror(machine / "opt" / "b")
    assert str(right) in Path(toolchain.environment()["TF_CLI_CONFIG_FILE"]).read_text()


def test_toolchain_fills_a_mirror_from_the_registry_once(machine: Path) -> None:
    binary = terraform_of(machine, "1.11.4")
    # The last argument of `terraform providers mirror` is the directory to fill.
    binary.write_text(
        f'#!/bin/sh\ncase $1 in version) echo \'{{"terraform_version":"1.11.4"}}\';; *) for last; do :; done\n'
        f'/bin/mkdir -p "$last/{toolchain.PROVIDER}"; '
        f'echo "$*" > "$last/{toolchain.PROVIDER}/terraform-provider-aws_{VERSION}_{PLATFORM}.zip";; esac\n'
    )
    for _ in range(2):
        configuration = Path(toolchain.environment()["TF_CLI_CONFIG_FILE"]).read_text()
        binary.write_text('#!/bin/sh\n[ $1 = version ] && echo \'{"terraform_version":"1.11.4"}\'\n')
    assert f'path    = "{machine}/local/providers"' in configuration
    assert "plugin_cache_dir" in configuration
    filled = next((machine / "local" / "providers" / toolchain.PROVIDER).iterdir()).read_text()
    assert f"providers mirror -platform={PLATFORM}" in filled


def test_toolchain_prints_the_remedies_without_a_mirror_and_a_registry(machine: Path) -> None:
    terraform_of(machine, "1.11.4").write_text(
        '#!/bin/sh\n[ $1 = version ] && echo \'{"terraform_version":"1.11.4"}\' || { echo no such host >&2; exit 1; }\n'
    )
    with pytest.raises(CommandError, match=r"(?s)TF_PLUGIN_MIRROR.*no such host"):
        toolchain.environment()
    assert not (machine / "local" / "providers").exists()


def test_toolchain_keeps_the_configuration_of_the_user(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform_of(machine, "1.11.4")
    own = machine / "own.rc"
    own.write_text('provider_installation {\n  network_mirror { url = "https://mirror.example/" }\n}\n')
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(own))
    assert "TF_CLI_CONFIG_FILE" not in toolchain.environment()


def test_toolchain_replaces_a_configuration_that_does_not_exist(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform_of(machine, "1.11.4")
    unpacked_mirror(machine / "opt" / "anything")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(machine / "missing.rc"))
    assert toolchain.environment()["TF_CLI_CONFIG_FILE"] == str(machine / "local" / "terraform.rc")


def test_pypi_terraform_has_its_version(tmp_path: Path) -> None:
    answer = subprocess.run([toolchain.from_pypi(), "version", "-json"], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["terraform_version"] == "1.15.5"


def test_pypi_terraform_returns_the_exit_status(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text("not terraform")
    done = subprocess.run([toolchain.from_pypi(), "validate"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1


def test_pypi_terraform_releases_its_lock_when_interrupted(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(WAITING)
    command = [str(toolchain.from_pypi()), "apply", "-auto-approve", "-no-color"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("waiting" in line for line in process.stdout)
        assert (tmp_path / ".terraform.tfstate.lock.info").exists()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode != 0
    assert time.monotonic() - began < 30
    assert not (tmp_path / ".terraform.tfstate.lock.info").exists()


def test_toolchain_runs_terraform_with_the_given_arguments(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "toolchain.py"),
        "terraform",
        f"-chdir={tmp_path}",
        "version",
        "-json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert json.loads(done.stdout)["terraform_version"].startswith("1.")
