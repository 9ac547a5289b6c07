"""What ``make scan`` prints, and when it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import scan
from pathtolive.cli import CommandError
from pathtolive.scanning import findings, scanners
from pathtolive.scanning.findings import Accepted, Finding
from tests.conftest import ROOT

FOUND = Finding("bandit", "B605", "lambda/handler.py", "Starting a process with a shell", 7)
SCANS = ("bandit", "checkov", "jactionlint")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Finding], list[Accepted]], int]:
    """Return a function that runs the command with the findings of scanners, and with what is accepted."""
    monkeypatch.setattr("sys.argv", ["scan.py"])
    monkeypatch.delenv("PLAN_JSON", raising=False)

    def run(found: list[Finding], known: list[Accepted]) -> int:
        for name in SCANS:
            monkeypatch.setattr(scanners, name, lambda name=name: [each for each in found if each.scanner == name])
        monkeypatch.setattr(findings, "accepted", lambda: known)
        return scan.command()

    return run


def accepted(place: str) -> Accepted:
    return Accepted(("bandit",), "B605", (place,), "A reason")


def test_findings_fail_the_scan_and_are_printed_and_summarized(
    command: Callable[[list[Finding], list[Accepted]], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    with pytest.raises(CommandError, match=r"accept them in scans/accepted\.toml, each with its reason"):
        command([FOUND], [])
    line = "bandit B605 lambda/handler.py:7: Starting a process with a shell"
    assert capsys.readouterr().out == f"Scan: 1 finding, 0 accepted\n{line}\n"
    assert line in (tmp_path / "summary").read_text()


def test_accepted_findings_pass(
    command: Callable[[list[Finding], list[Accepted]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([FOUND], [accepted("lambda/*")]) == 0
    assert capsys.readouterr().out == "Scan: 0 findings, 1 accepted\n"


def test_what_is_accepted_in_vain_fails_the_scan(command: Callable[[list[Finding], list[Accepted]], int]) -> None:
    with pytest.raises(CommandError, match=r"have no finding:\n  bandit B605 gone/\*\n"):
        command([FOUND], [accepted("lambda/*"), accepted("gone/*")])


def test_plan_is_scanned_with_its_documents(
    command: Callable[[list[Finding], list[Accepted]], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text('{"resource_changes": []}')
    monkeypatch.setenv("PLAN_JSON", str(tmp_path / "plan.json"))
    given: list[object] = []

    def record(content: object) -> list[Finding]:
        given.append(content)
        return []

    monkeypatch.setattr(scanners, "plan", record)
    monkeypatch.setattr(scanners, "policies", record)
    # What the plan does not have is not accepted in vain.
    assert command([FOUND], [accepted("gone/*")]) == 0
    assert given == [{"resource_changes": []}] * 2


def test_scanners_skip_the_directories_that_git_ignores() -> None:
    """The names of tests, which pytest keeps in its cache, can look like credentials."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    directories = {line.strip("/") for line in lines if not set("#!*").intersection(line)}
    assert directories - {".terraform", "terraform/imports.tf"} <= set(scanners.SKIPPED)
