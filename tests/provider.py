"""The AWS provider, started once and used by every plan and apply: starting it takes most of the time of a plan."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pathtolive.toolchain import terraform as toolchain
from tests import processes
from tests.conftest import ROOT
from tests.waiting import eventually

SOURCE = ROOT / "terraform"
# Empty, it lets Terraform start a provider of its own.
REATTACH = "TF_REATTACH_PROVIDERS"


@contextlib.contextmanager
def running(directory: Path, endpoint: str, cwd: Path | None = None) -> Iterator[dict[str, str]]:
    """Start the locked provider, and give the variable with which Terraform attaches to it.

    It is installed in ``directory``, and reads files by paths that are relative to ``cwd``.

    https://developer.hashicorp.com/terraform/plugin/debugging
    """
    environment = os.environ | {"AWS_ENDPOINT_URL": endpoint}
    if environment.pop("AWS_CA_BUNDLE", None) and endpoint.startswith("https:"):
        # A provider that is configured a second time refuses AWS_CA_BUNDLE: let each command start its own.
        yield {}
        return
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_executable(directory), "-debug"],
            cwd=cwd,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield {REATTACH: eventually(lambda: _address(process, log), 60, described=log.read_text)}
    finally:
        processes.interrupt(process)


def _executable(directory: Path) -> Path:
    """Install the provider as Terraform does, by the lock file, and return its executable."""
    shutil.copyfile(SOURCE / "terraform.tf", directory / "terraform.tf")
    shutil.copyfile(SOURCE / ".terraform.lock.hcl", directory / ".terraform.lock.hcl")
    subprocess.run(
        [toolchain.executable(), "init", "-backend=false", "-lockfile=readonly"],
        cwd=directory,
        env=os.environ | toolchain.environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (found,) = directory.glob(".terraform/providers/*/*/*/*/*/terraform-provider-aws_v*")
    return found


def _address(process: subprocess.Popen[bytes], log: Path) -> str | None:
    assert process.poll() is None, log.read_text()
    match = re.search(rf"{REATTACH}='(.*)'", log.read_text())
    return match and match[1]
