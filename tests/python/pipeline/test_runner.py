"""The rehearsal runs jobs as GitHub does, and fails for whatever it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.python.pipeline.runner import FAILURE, SKIPPED, SUCCESS, GitHub, Run

pytestmark = pytest.mark.clone
CHECKOUT = {
    "uses": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
    "with": {"fetch-depth": 0, "persist-credentials": False},
}


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> GitHub:
    return GitHub(tmp_path_factory.mktemp("runner"), "http://127.0.0.1:9", {})


def run(github: GitHub, tmp_path: Path, jobs: Mapping[str, Any]) -> Run:
    definitions = {name: {"permissions": {"contents": "read"}, **job} for name, job in jobs.items()}
    return Run(github, {"permissions": {}, "jobs": definitions}, github.main, "push", {}, tmp_path / "run").complete()


def script(text: str, **more: Any) -> dict[str, Any]:
    return {"steps": [{"id": "it", "run": text}], **more}


def test_jobs_run_in_the_order_of_their_needs_and_pass_outputs(github: GitHub, tmp_path: Path) -> None:
    found = run(
        github,
        tmp_path,
        {
            "second": script('test "$GIVEN" = "a b"', needs="first", env={"GIVEN": "${{ needs.first.outputs.given }}"}),
            "first": script('echo "given=a b" >> "$GITHUB_OUTPUT"', outputs={"given": "${{ steps.it.outputs.given }}"}),
        },
    )
    assert found.results() == {"first": SUCCESS, "second": SUCCESS}


def test_job_after_a_failed_or_skipped_one_is_skipped(github: GitHub, tmp_path: Path) -> None:
    found = run(
        github,
        tmp_path,
        {
            "fails": script("false"),
            "after": script("true", needs="fails"),
            "skipped": script("true", **{"if": "github.event_name == 'schedule'"}),
            "next": script("true", needs="skipped"),
            "last": script("true", needs="next"),
            "nevertheless": script("true", needs=["next", "last"], **{"if": "!failure() && !cancelled()"}),
        },
    )
    assert found.results() == {
        "fails": FAILURE,
        "after": SKIPPED,
        "skipped": SKIPPED,
        "next": SKIPPED,
        "last": SKIPPED,
        "nevertheless": SUCCESS,
    }


@pytest.mark.parametrize("text", ["false; true", "false | true", "exit 3"])
def test_step_fails_as_in_the_bash_of_github(github: GitHub, tmp_path: Path, text: str) -> None:
    assert run(github, tmp_path, {"job": script(text)}).results() == {"job": FAILURE}


def test_next_steps_of_a_failed_one_run_only_if_they_say_so(github: GitHub, tmp_path: Path) -> None:
    steps = [{"run": "false"}, {"run": "touch no"}, {"if": "!cancelled()", "run": "touch yes"}]
    found = run(github, tmp_path, {"job": {"steps": steps}})
    assert found.jobs["job"].steps == [("false", FAILURE), ("touch no", SKIPPED), ("touch yes", SUCCESS)]


def test_unknown_action_fails_the_rehearsal(github: GitHub, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="octocat/unknown"):
        run(github, tmp_path, {"job": {"steps": [{"uses": "octocat/unknown@0123456789"}]}})


def test_checkout_that_keeps_credentials_fails_the_rehearsal(github: GitHub, tmp_path: Path) -> None:
    kept = CHECKOUT | {"with": {"fetch-depth": 0}}
    with pytest.raises(AssertionError):
        run(github, tmp_path, {"job": {"steps": [kept]}})


def test_job_without_the_permission_cannot_push(github: GitHub, tmp_path: Path) -> None:
    push = {"run": "git push origin HEAD:refs/heads/other", "env": {"GITHUB_TOKEN": "${{ github.token }}"}}
    found = run(github, tmp_path, {"job": {"steps": [CHECKOUT, push]}})
    assert found.results() == {"job": FAILURE}
    assert "Permission to octocat/hello denied" in found.jobs["job"].log
