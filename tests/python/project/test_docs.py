"""The links, commands, and files in the documents exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents import DOCUMENTS, NOT_RUN, commands


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub generates for a document's headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_have_a_target(document: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        linked = document.parent / name if name else document
        assert linked.exists(), link
        assert not anchor or anchor in anchors(linked), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_make_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", document.read_text(), re.MULTILINE)
    assert {target for words in named for target in words.split()} <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_in_documents_exist(document: Path) -> None:
    for name in re.findall(
        r"`((?:emulator|lambda|scripts|terraform|tests|docs)/[A-Za-z0-9_./-]+)`", document.read_text()
    ):
        if Path(name).suffix != ".tfvars":
            assert (ROOT / name).exists(), name


def test_commands_that_no_test_runs_are_in_a_document() -> None:
    """tests/python/commands/test_path.py and tests/terraform/root/test_bootstrap.py check the other commands."""
    assert NOT_RUN.keys() <= {command for document in DOCUMENTS for command in commands(document)}


def test_demonstration_text_matches_its_picture() -> None:
    picture, text = ((ROOT / "docs" / name).read_text() for name in ("demo.svg", "demo.md"))
    # Each line of a text is a comment.
    lines = "\n".join(re.findall(r"<!-- (.*?) -->", picture))
    (speed,) = re.findall(r"Measured on local AWS, which ran ([\d.]+) times as fast as AWS", lines)
    shown = re.findall(r"([\d,]+) of ([\d,]+) failed,\nall traffic back\nafter (\d+) min (\d+) s", lines)
    (shared,) = re.findall(r"(\d+) of ([\d,]+) failed,\n(\d+) in version 2 and\n(\d+) in version 4", lines)
    (fixed,) = re.findall(r"(\d+) of ([\d,]+) failed,\nall in version 4", lines)
    rows = [[cell.strip() for cell in row.split("|")[2:-1]] for row in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    _, _, failed, measured, at_pace, computed = rows
    assert len(shown) == 2
    for place, (bad, requests, minutes, seconds) in enumerate(shown):
        on_aws = 60 * int(minutes) + int(seconds)
        assert failed[place] == f"{bad} of {requests}"
        assert at_pace[place] == f"{on_aws} s"
        assert round(float(measured[place].removesuffix(" s")) * float(speed)) == pytest.approx(on_aws, abs=1)
        more = int(bad) * (on_aws + 60) / on_aws
        ((about, later),) = re.findall(r"about (\d+) in (\d+) s", computed[place])
        assert int(about) == pytest.approx(more, abs=1)
        assert int(later) == on_aws + 60
    told = r"(\d+) of ([\d,]+) requests failed: (\d+) of version 2, and (\d+) of version 4"
    assert re.findall(told, text) == [shared]
    assert f"{fixed[0]} of {fixed[1]} failed" in text


def test_changelog_starts_with_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == ("Unreleased", "")
    assert headings[1][0] == version
    assert headings[1][1]
