"""git ignores what Terraform writes, because it contains the state."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import ROOT


def ignored(path: str) -> bool:
    return subprocess.run(["git", "check-ignore", "--quiet", "--no-index", path], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "name",
    ["p.out", "plan", "next.tfplan", "terraform.tfstate", "errored.tfstate", "crash.log", ".terraform/modules/a.tf"],
)
@pytest.mark.parametrize("directory", ["terraform", "terraform/bootstrap", "terraform/modules/api"])
def test_files_that_terraform_writes_are_ignored(directory: str, name: str) -> None:
    assert ignored(f"{directory}/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "new.tf",
        "terraform.tfvars",
        "README.md",
        "new.asl.yaml.tftpl",
        "new.jsonata",
        "new.insights",
        ".terraform.lock.hcl",
    ],
)
@pytest.mark.parametrize("directory", ["terraform", "terraform/bootstrap", "terraform/modules/new"])
def test_files_of_a_module_are_not_ignored(directory: str, name: str) -> None:
    assert not ignored(f"{directory}/{name}")


def test_no_file_of_the_project_is_ignored() -> None:
    listed = subprocess.check_output(["git", "ls-files", "--cached", "--ignored", "--exclude-standard"], cwd=ROOT)
    assert listed == b""
