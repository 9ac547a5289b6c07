"""Fixtures that give Terraform directories to plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import provider as aws_provider
from tests.terraform.support import SOURCE, Configuration, Provider, copy, write_artifact


@pytest.fixture(scope="session")
def provider(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Give the AWS provider, started once for all tests that don't say otherwise."""
    with aws_provider.running(tmp_path_factory.mktemp("provider"), endpoint) as variables:
        yield variables


@pytest.fixture(scope="module")
def root(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    """Give the root module as it is committed, with an artifact, in an account where nothing is deployed."""
    directory = copy(tmp_path_factory.mktemp("root") / "terraform")
    write_artifact(directory)
    return Configuration(directory, provider=provider)


@pytest.fixture(scope="module")
def module(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Configuration]:
    """Give a function that returns a module on its own, by its name."""
    made: dict[str, Configuration] = {}

    def get(name: str) -> Configuration:
        if name not in made:
            directory: Path = tmp_path_factory.mktemp(name) / name
            made[name] = Configuration(copy(directory, SOURCE / "modules" / name), provider=provider)
        return made[name]

    return get


@pytest.fixture(scope="module")
def planned_root(root: Configuration) -> Any:
    return root.variables().plan()
