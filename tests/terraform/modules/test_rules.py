"""Rules for every Terraform file of the project."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from pathtolive.toolchain import terraform as toolchain
from tests.conftest import ROOT
from tests.terraform.support import SOURCE, Configuration, copy, write_artifact

MODULES = sorted(path for path in (SOURCE / "modules").iterdir())
DIRECTORIES = [SOURCE, SOURCE / "bootstrap", *MODULES]
FILES = sorted(path for directory in DIRECTORIES for path in directory.glob("*.tf"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(directory: Path, kind: str) -> list[Any]:
    return [block for path in sorted(directory.glob("*.tf")) for block in hcl2.loads(path.read_text()).get(kind, [])]


def labelled(directory: Path, kind: str) -> dict[str, Any]:
    return {label.strip('"'): body for block in blocks(directory, kind) for label, body in block.items()}


@pytest.mark.parametrize("directory", DIRECTORIES, ids=name)
def test_directory_has_the_standard_files(directory: Path) -> None:
    files = {path.name for path in directory.glob("*.tf")}
    assert {"main.tf", "outputs.tf", "terraform.tf", "variables.tf"} <= files


@pytest.mark.parametrize("directory", DIRECTORIES, ids=name)
def test_directory_requires_versions_of_terraform_and_the_provider(directory: Path) -> None:
    (settings,) = blocks(directory, "terraform")
    (providers,) = settings["required_providers"]
    assert settings["required_version"].strip('"') == ">= 1.11"
    assert {key: value.strip('"') for key, value in providers["aws"].items()} == {
        "source": "hashicorp/aws",
        "version": ">= 5.100, < 7",
    }


@pytest.mark.parametrize("directory", DIRECTORIES, ids=name)
def test_variables_are_typed_and_described(directory: Path) -> None:
    for variable, body in labelled(directory, "variable").items():
        assert body["type"], variable
        assert body["description"].strip('"').endswith("."), variable
        # Null has a meaning only if it is the default.
        assert body.get("nullable") is False or ("default" in body and body["default"] is None), variable


@pytest.mark.parametrize("directory", DIRECTORIES, ids=name)
def test_outputs_are_described_and_in_order(directory: Path) -> None:
    outputs = labelled(directory, "output")
    assert all(body["description"].strip('"').endswith(".") for body in outputs.values())
    assert list(outputs) == sorted(outputs)
    assert list(labelled(directory, "variable")) == sorted(labelled(directory, "variable"))


@pytest.mark.parametrize("directory", MODULES, ids=name)
def test_modules_are_called_only_by_the_root(directory: Path) -> None:
    assert blocks(directory, "module") == []
    assert blocks(directory, "provider") == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_runs_no_scripts_and_mentions_no_emulator(path: Path) -> None:
    text = path.read_text().lower()
    assert not re.search(r'provisioner|null_resource|terraform_data|"external"|local-exec|local_file', text)
    assert not re.search(r"ministack|localstack|emulator|local aws|endpoints|localhost|127\.0\.0\.1", text)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_statements_name_actions_and_resources(path: Path) -> None:
    for document in hcl2.loads(path.read_text()).get("data", []):
        for body in document.get('"aws_iam_policy_document"', {}).values():
            for statement in body["statement"]:
                assert statement["sid"], path
                assert statement["actions"], path
                assert "not_actions" not in statement
                if statement.get("effect", '"Allow"') == '"Allow"':
                    assert not any("*" in action for action in statement["actions"]), path


@pytest.fixture(params=[toolchain.executable, toolchain.from_pypi], ids=["on the PATH", "from PyPI"])
def terraform(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param()
    return path


def test_files_are_formatted(terraform: Path) -> None:
    done = subprocess.run(
        [terraform, "fmt", "-check", "-recursive", "-diff", SOURCE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("directory", [SOURCE, SOURCE / "bootstrap"], ids=name)
def test_root_modules_are_valid_with_the_locked_provider(
    endpoint: str, terraform: Path, directory: Path, tmp_path: Path
) -> None:
    copied = copy(tmp_path / "terraform", directory)
    lock = (copied / ".terraform.lock.hcl").read_bytes()
    configuration = Configuration(copied, terraform=terraform)
    assert "The configuration is valid" in configuration.run("validate", "-no-color").out
    assert (copied / ".terraform.lock.hcl").read_bytes() == lock


def test_root_plans_with_the_second_terraform(endpoint: str, tmp_path: Path) -> None:
    directory = copy(tmp_path / "terraform")
    write_artifact(directory)
    plan = Configuration(directory, terraform=toolchain.from_pypi()).variables().plan()
    assert plan.terraform_version == "1.15.5"
    assert "module.function.aws_lambda_function.this" in plan.resource_changes
