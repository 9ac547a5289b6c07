"""scripts/ contains only commands. Their shared code is in scripts/pathtolive."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = ROOT / "scripts"
COMMANDS = sorted(SCRIPTS.glob("*.py"))
SHARED = sorted((SCRIPTS / "pathtolive").rglob("*.py"))
MAX_LINES = 150


def imported(path: Path) -> set[str]:
    """Return the names of the modules that a file imports, at any level."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_file_is_a_short_command(path: Path) -> None:
    text = path.read_text()
    assert "argparse.ArgumentParser(" in text or "Parser(__doc__)" in text
    assert 'if __name__ == "__main__":' in text
    assert len(text.splitlines()) < MAX_LINES


@pytest.mark.parametrize("path", [*COMMANDS, *SHARED], ids=lambda path: str(path.relative_to(SCRIPTS)))
def test_file_imports_no_command_and_no_emulator(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(path)}
    assert roots.isdisjoint({"emulator", *(command.stem for command in COMMANDS)})


def test_build_needs_only_the_standard_library() -> None:
    """The build runs before any package is installed."""
    waiting = [SCRIPTS / "build.py", SCRIPTS / "pathtolive" / "__init__.py"]
    used: set[str] = set()
    while waiting:
        for name in imported(waiting.pop()) - used:
            used.add(name)
            if (shared := SCRIPTS / f"{name.replace('.', '/')}.py").is_file():
                waiting.append(shared)
    assert {name.partition(".")[0] for name in used} <= sys.stdlib_module_names | {"pathtolive"}
    assert "pathtolive.build" in used
