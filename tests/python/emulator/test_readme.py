"""The README of local AWS has the correct file names and version."""

from __future__ import annotations

import re
import tomllib

from emulator import hooks
from tests.conftest import ROOT

README = (ROOT / "emulator" / "README.md").read_text()


def test_readme_installs_the_required_ministack() -> None:
    assert set(re.findall(r"ministack==[\d.]+", README)) == {f"ministack=={hooks.MINISTACK_VERSION}"}


def test_readme_installs_the_versions_of_the_project() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    (command,) = re.findall("pip install (.*)", README)
    assert {"httptools", "ministack", "uvicorn"} < {pin.partition("==")[0] for pin in command.split()}
    assert set(command.split()) <= set(groups["run"])


def test_readme_names_only_files_that_exist() -> None:
    rows = [
        re.findall(r"`([a-z_/]+\.py)`", line.rpartition(" | ")[2])
        for line in README.splitlines()
        if line.startswith("|")
    ]
    listed = [names for names in rows if names]
    assert len(listed) > 20
    for first, *others in listed:
        assert (ROOT / "emulator" / first).exists(), first
        for other in others:
            assert (ROOT / "emulator" / first).with_name(other).exists() or (ROOT / "emulator" / other).exists(), other
