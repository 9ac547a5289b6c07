"""A step of a story fails if the steps before it have not passed, and prints the reason."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long
STORY = """
    import pytest

    @pytest.mark.story
    class TestStory:
        @pytest.mark.parametrize("right", [RIGHT, True])
        def test_begins(self, right):
            assert right

        def test_goes_on(self):
            pass

        def test_ends(self):
            pass
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory that contains a story and the settings of this project."""
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmarkers = story\npythonpath = {ROOT} {ROOT}/scripts\n")
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    return tmp_path


def run(directory: Path, test: str = "", *, right: bool = True) -> str:
    (directory / "test_it.py").write_text(textwrap.dedent(STORY).replace("RIGHT", str(right)))
    command = [sys.executable, "-m", "pytest", "-q", f"test_it.py{test}"]
    # The options of this run would apply to that one, too.
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return subprocess.run(command, cwd=directory, env=kept, capture_output=True, text=True, check=False).stdout


def test_story_passes_as_a_whole(directory: Path) -> None:
    assert "4 passed" in run(directory)


def test_single_step_names_the_class_to_run(directory: Path) -> None:
    output = run(directory, "::TestStory::test_ends")
    assert "The earlier step test_begins was not run. Run the whole class: pytest 'test_it.py::TestStory'" in output
    assert "1 error" in output


def test_steps_after_a_failed_step_name_it(directory: Path) -> None:
    output = run(directory, right=False)
    assert output.count("The earlier step test_begins failed. Run the whole class") >= 1
    assert "1 failed, 1 passed" in output
    assert "2 errors" in output
