"""Local AWS checks at its start that every name of MiniStack exists that it uses."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import operator
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import hooks, names, server
from tests.conftest import ROOT, free_port

FILES = sorted((ROOT / "emulator").rglob("*.py"))
# Names of botocore.
OTHERS = {"client._make_api_call", "serializer._serialize_data_item"}


def is_module(name: str) -> bool:
    """Return whether a name of MiniStack is a module, without an import, because MiniStack reads its settings then."""
    spec = importlib.util.find_spec("ministack")
    assert spec
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], *name.split(".")[1:]).with_suffix(".py").exists()


class Finder(ast.NodeVisitor):
    """Finds the names of MiniStack that a module imports, reads from another module, or wraps."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()
        self.unknown: set[str] = set()
        self._modules: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            assert not alias.asname or not alias.name.startswith("ministack"), ast.unparse(node)
            if alias.name.startswith("ministack"):
                self._modules[alias.name] = alias.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").partition(".")[0] != "ministack":
            return
        for alias in node.names:
            if is_module(f"{node.module}.{alias.name}"):
                self._modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            else:
                self.found.add((str(node.module), alias.name))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        text = ast.unparse(node)
        module = next((name for name in self._modules if text.startswith(f"{name}.")), None)
        if module is None:
            if node.attr.startswith("_") and not node.attr.endswith("__") and not text.startswith(("self.", "cls.")):
                self.unknown.add(text)
            self.generic_visit(node)
            return
        if not all(part.isidentifier() for part in text.split(".")):
            # The chain contains a call or another expression. The part before it is a separate chain.
            self.generic_visit(node)
            return
        parts = text.removeprefix(f"{module}.").split(".")
        private = [number for number, part in enumerate(parts) if part.startswith("_")]
        self.found.add((self._modules[module], ".".join(parts[: max([0, *private]) + 1])))

    def visit_Call(self, node: ast.Call) -> None:
        called = ast.unparse(node.func)
        if called == "hooks.wrap":
            module, name = ast.unparse(node.args[0]), node.args[1]
            assert isinstance(name, ast.Constant), f"a name that this test cannot read: {ast.unparse(node)}"
            self.found.add((self._modules[module], str(name.value)))
        assert called not in {"getattr", "setattr"} or ast.unparse(node.args[0]) not in self._modules
        self.generic_visit(node)


def used() -> Iterator[tuple[str, str]]:
    """Yield the module and the name of everything that the package uses from MiniStack."""
    for path in FILES:
        finder = Finder()
        finder.visit(ast.parse(path.read_text()))
        yield from finder.found


USED = sorted(set(used()))


def test_list_has_only_the_names_that_the_code_uses() -> None:
    expected: defaultdict[str, list[str]] = defaultdict(list)
    for module, name in USED:
        expected[module].append(name)
    assert {module: list(listed) for module, listed in names.NAMES.items()} == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_uses_no_other_private_names(path: Path) -> None:
    finder = Finder()
    finder.visit(ast.parse(path.read_text()))
    assert finder.unknown <= OTHERS


@pytest.fixture
def _start(monkeypatch: pytest.MonkeyPatch) -> None:
    """End the start after the check, and restore the environment."""
    monkeypatch.setattr(os, "environ", os.environ | server._settings(free_port(), None))
    behaviours = importlib.import_module("emulator.behaviours")
    monkeypatch.setattr(behaviours, "install", lambda: None)


@pytest.mark.usefixtures("_start")
@pytest.mark.parametrize(("module", "name"), USED)
def test_start_fails_without_a_name(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    owner, _, last = name.rpartition(".")
    holder: Any = importlib.import_module(module)
    monkeypatch.delattr(operator.attrgetter(owner)(holder) if owner else holder, last)
    with pytest.raises(hooks.HookError) as error:
        server.load(free_port(), None)
    assert str(error.value) == (
        f"{module}.{name} does not exist: this is not MiniStack 1.5.33. Install it with: pip install ministack==1.5.33"
    )


@pytest.mark.usefixtures("_start")
def test_start_fails_without_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "NAMES", {"ministack.services.missing": ()})
    with pytest.raises(hooks.HookError, match=r"^ministack\.services\.missing does not exist"):
        server.load(free_port(), None)


@pytest.mark.usefixtures("_start")
def test_start_finds_every_name() -> None:
    server.load(free_port(), None)
