"""A local AWS of its own for the tests that send hostile requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import local_aws
from tests.python.emulator.fenced import Local


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    directory = tmp_path_factory.mktemp("fence")
    with local_aws(directory / "log") as url:
        made = Local(int(url.rpartition(":")[2]), directory / "runs")
        assert made.ids
        yield made
