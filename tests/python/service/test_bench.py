"""The benchmark, and the budgets of the service."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import bench
from pathtolive.bench import handlers
from pathtolive.cli import CommandError
from tests.conftest import ROOT

KEPT = {
    "bare": {"import": 0.1, "first": 0.001, "warm": 0.001},
    "ours": {"import": 5.0, "first": 0.1, "warm": 0.05},
    "powertools": {"import": 100.0, "first": 1.0, "warm": 0.1},
}


def test_service_is_within_its_budgets() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/bench.py", "--sections", "handlers", "--processes", "5", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(done.stdout)
    assert (done.returncode, result["missed"]) == (0, []), done.stderr
    assert set(result["handlers"]["medians"]) == {"bare", "ours", "powertools"}


def test_budgets_include_their_limits() -> None:
    assert handlers.missed(KEPT, 16 * 1024) == []


@pytest.mark.parametrize(
    ("handler", "metric", "value", "sentence"),
    [
        ("ours", "import", 5.1, "The import takes 5.1 ms"),
        ("powertools", "import", 99.0, "The import is 20 times"),
        ("ours", "warm", 0.051, "A warm invocation takes 0.51 times"),
    ],
)
def test_missed_budget_is_reported(handler: str, metric: str, value: float, sentence: str) -> None:
    medians = {**KEPT, handler: {**KEPT[handler], metric: value}}
    assert any(line.startswith(sentence) for line in handlers.missed(medians, 0))


def test_large_artifact_is_reported() -> None:
    assert handlers.missed(KEPT, 16 * 1024 + 1) == ["The artifact has 16385 bytes, more than 16384"]


def test_missed_budget_fails_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", "--sections", "handlers", "--processes", "1", "--invocations", "1"])
    monkeypatch.setattr(handlers, "MAX_BYTES", 1)
    with pytest.raises(CommandError, match="bytes, more than 1"):
        bench.command()
    assert "powertools" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--processes", "--invocations"])
def test_number_of_zero_is_refused(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", option, "0"])
    with pytest.raises(SystemExit, match="2"):
        bench.command()
