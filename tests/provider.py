"""The AWS provider, started once for all plans and applies, because its start takes most of the time of a plan."""

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
# If the variable is empty, Terraform starts its own provider.
REATTACH = "TF_REATTACH_PROVIDERS"


@contextlib.contextmanager
def running(directory: Path, endpoint: str, cwd: Path | None = None) -> Iterator[dict[str, str]]:
    """Start the locked provider, and yield the variable that attaches Terraform to it.

    The provider is installed in ``directory``, and its relative paths start at ``cwd``.

    https://developer.hashicorp.com/terraform/plugin/debugging
    """
    environment = os.environ | {"AWS_ENDPOINT_URL": endpoint}
    if environment.pop("AWS_CA_BUNDLE", None) and endpoint.startswith("https:"):
        # A provider that is configured twice refuses AWS_CA_BUNDLE, so each command starts its own.
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
    """Install the provider from the lock file with Terraform, and return its executable."""
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
