"""What a reviewer reads before and after a release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from pathtolive import actions, remote, review, stages, status
from pathtolive.demo import clone
from pathtolive.release.executions import Past
from pathtolive.stages import Active
from tests.python.pipeline.test_remote import Origin

AT = datetime(2026, 11, 28, tzinfo=UTC)
LAST = Past("live-release-7-x", "release", "6", "7", AT, AT, "rolled back", "Version 7 failed too often.")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    engine = mock.Mock()
    engine.past.side_effect = lambda: iter([LAST])
    engine.metrics.side_effect = lambda given, version, since: mock.Mock(
        errors={"7": 30, "6": 1}[version], invocations=1000
    )
    monkeypatch.setattr(review, "Engine", lambda *_: engine)
    return engine


@pytest.mark.parametrize("version", ["7", None])
def test_outcome_has_the_metrics_of_both_versions(engine: mock.Mock, version: str | None) -> None:
    assert review.outcome(mock.Mock(), "live", version) == (
        "live-release-7-x: rolled back",
        [
            "Version 7 failed too often.",
            "30 of 1,000 invocations of version 7 failed",
            "1 of 1,000 invocations of version 6 failed",
        ],
    )


def test_outcome_of_an_earlier_release_is_left_out(engine: mock.Mock) -> None:
    assert review.outcome(mock.Mock(), "live", "8") == ("No release of version 8 to live has started", [])


def test_commits_are_those_that_the_stage_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = Origin(tmp_path)
    runs = clone.git("rev-parse", "HEAD", cwd=origin.job)
    origin.push({"README.md": "two"})
    clone.git("pull", "--quiet", cwd=origin.job)
    monkeypatch.setattr(remote, "ROOT", origin.job)
    monkeypatch.setattr(stages, "active", lambda _: {"live": Active("6", {}, "1")})
    monkeypatch.setattr(status, "revision", lambda *_: runs)
    title, listed = review.commits(mock.Mock(), "live", "HEAD")
    assert title == f"Commits since version 6 of live, commit {runs[:7]}: 1"
    assert [line.partition(" ")[2] for line in listed] == ["Change (Demonstration)"]


def test_summary_shows_the_whole_plan_as_far_as_github_does() -> None:
    plan = "  ~ policy = <<-EOT\n```\n</details>\n"
    shown = actions.markdown("Plan", ["update `x`"], plan)
    fence = "`" * 12
    assert shown.startswith("### Plan\n\n- `update 'x'`\n\n<details>")
    assert f"\n{fence}\n{plan}\n{fence}\n" in shown
    assert "<details>" not in actions.markdown("Plan", ["update x"])
    longest = actions.markdown("Plan", ["x" * 100] * 300, "y" * 100_000)
    assert 50_000 < len(longest) < 65_536
    assert longest.endswith(f"y\n...\n{fence}\n\n</details>\n")
