"""The benchmark, and the budgets of the service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from pathtolive.bench import commands, emulators, handlers, runtime
from pathtolive.bench.commands import Run
from pathtolive.cli import CommandError
from pathtolive.load.arrivals import Outcome
from pathtolive.toolchain import rie
from tests.conftest import ROOT

KEPT = {
    "bare": {"import": 0.1, "first": 0.001, "warm": 0.001},
    "ours": {"import": 1.0, "first": 0.1, "warm": 0.009},
    "powertools": {"import": 50.0, "first": 1.0, "warm": 0.045},
}


def test_budgets_include_their_limits() -> None:
    assert handlers.missed(KEPT, 16 * 1024) == []


@pytest.mark.parametrize(
    ("handler", "metric", "value", "sentence"),
    [
        ("ours", "import", 1.01, "The import takes 1.01 ms"),
        ("powertools", "import", 49.0, "The import is 49 times"),
        ("ours", "warm", 0.0091, "A warm invocation takes 9.1 µs"),
        ("powertools", "warm", 0.036, "A warm invocation takes 0.25 times"),
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


@pytest.mark.parametrize("option", ["--processes", "--invocations", "--memory-invocations"])
def test_number_of_zero_is_refused(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", option, "0"])
    with pytest.raises(SystemExit, match="2"):
        bench.command()


def test_unknown_section_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.py", "--sections", "runtime,handler"])
    with pytest.raises(SystemExit, match="2"):
        bench.command()
    assert "'handler' is not a section: name some of handlers,runtime,emulators,commands" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="AWS makes its emulator for Linux alone")
@pytest.mark.long
def test_runtime_is_measured_with_every_handler() -> None:
    """The budgets of this section are for an idle machine, so only make bench compares them."""
    done = subprocess.run(
        [
            sys.executable,
            *["scripts/bench.py", "--sections", "runtime", "--processes", "1", "--invocations", "100", "--json"],
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    medians = json.loads(done.stdout)["runtime"]["medians"]
    assert set(medians) == {"bare", "ours", "powertools"}
    # Only the first call starts Python.
    assert all(found["first"] > 5 * found["warm"] > 0 for found in medians.values())


def test_runtime_budgets_are_relative_to_the_bare_handler() -> None:
    assert runtime.missed({"ours": {"first_ratio": 1.1, "warm_ratio": 1.1}}) == []
    assert runtime.missed({"ours": {"first_ratio": 1.11, "warm_ratio": 1.2}}) == [
        "The first call takes 1.110 times as long as the bare handler's, over 1.1 times",
        "A warm invocation takes 1.200 times as long as the bare handler's, over 1.1 times",
    ]


def test_runtime_ratios_are_of_the_same_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is three times as slow in the second turn, and the turn before the first one does not count."""
    times = iter([9.0, 1.0, 2.0, 1.0, 6.0, 3.0])
    order: list[str] = []

    def measured(directory: Path, _: int) -> dict[str, float]:
        order.append(directory.name)
        return dict.fromkeys(("first", "warm"), next(times))

    monkeypatch.setattr(runtime, "_run", measured)
    monkeypatch.setattr(rie, "fetch", lambda: None)
    found = runtime.measure({name: Path(name) for name in ("bare", "ours")}, 2, 1)
    assert order == ["bare", "ours", "ours", "bare", "bare", "ours"]
    assert found["ours"] == {"first": 2.5, "warm": 2.5, "first_ratio": 1.25, "warm_ratio": 1.25}


@pytest.mark.long
def test_emulators_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulators, "ROUND_SECONDS", 0.3)
    found = emulators.measure(20)
    assert set(found) == {"local AWS", "MiniStack"}
    for figures in found.values():
        assert figures["requests_per_second"] > 1
        assert 20 < figures["megabytes"] < 1000


@pytest.mark.long
def test_emulator_that_fails_a_request_fails_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "BARE", handlers.BARE.replace("World", "Moon"))
    monkeypatch.setattr(emulators, "NAMES", {"local AWS": "emulator"})
    with pytest.raises(CommandError, match="returned 200: Hello, Moon!"):
        emulators.measure(1)


def run(name: str, *took: float, status: int = 200, to_traffic: float | None = 1.0) -> Run:
    outcomes = [Outcome(turn, 0, 0.0, "/", 0.0, seconds, status, "2") for turn, seconds in enumerate(took)]
    return Run(name, f"{name} STAGE=test", 10.0, to_traffic, outcomes)


def test_stage_must_answer_fast_during_a_promotion() -> None:
    assert commands.missed([run("promote", 0.099), run("deploy", 5.0)]) == []
    assert commands.missed([run("promote", *[0.01] * 98, 0.1, 0.1)]) == [
        "During make promote STAGE=test, the p99 of its stage was 100 ms, not below 100 ms"
    ]


def test_no_request_may_fail_during_a_command() -> None:
    assert commands.missed([run("rollback", 0.1, status=500, to_traffic=None)]) == [
        "1 of 1 requests failed during make rollback STAGE=test",
        "No response named the new version during make rollback STAGE=test",
    ]


def test_seconds_of_a_command_are_those_of_its_steps() -> None:
    lines = [("Using x", 0.5), ("✓ Plan: 1 to add (2 s)", 2.5), ("- Apply (8 s)", 10.0), ("dev  1", 10.5)]
    assert commands._steps(lines, 11.0) == [("Plan: 1 to add", 2.5), ("Apply", 7.5), ("the end of the command", 1.0)]


@pytest.mark.long
def test_commands_are_measured_under_load() -> None:
    """The budget of this section is for an idle machine, so only make bench compares it."""
    done = subprocess.run(
        [sys.executable, *["scripts/bench.py", "--sections", "commands", "--json"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["commands"]["commands"]
    assert [each["command"].split()[0] for each in found] == ["build", "promote", "rollback"]
    for each in found:
        assert 0 < each["to_traffic"] < each["seconds"]
        assert (each["requests"] > 0, each["failed"]) == (True, 0)
        assert abs(sum(step["seconds"] for step in each["steps"]) - each["seconds"]) < 0.1
