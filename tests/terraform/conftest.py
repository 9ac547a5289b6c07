"""Terraform directories that tests plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import provider as aws_provider
from tests.terraform.support import SOURCE, Configuration, Provider, copy, write_artifact


@pytest.fixture(scope="session")
def provider(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield the variables that attach Terraform to an AWS provider, which is started once for the tests."""
    with aws_provider.running(tmp_path_factory.mktemp("provider"), endpoint) as variables:
        yield variables


@pytest.fixture(scope="module")
def root(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    """Return a copy of the committed root module, with an artifact, for an account without a deployment."""
    directory = copy(tmp_path_factory.mktemp("root") / "terraform")
    write_artifact(directory)
    return Configuration(directory, provider=provider)


@pytest.fixture(scope="module")
def module(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Configuration]:
    """Return a function that returns a copy of a module by its name."""
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
