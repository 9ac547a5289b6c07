"""A rehearsal of the delivery pipeline: the workflows themselves, against local AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import REGION
from tests.python.pipeline.rehearsal import (
    ROUTES,
    empty_account,
    in_background,
    pins,
    succeeded,
    versions,
    visitors,
    weights,
)
from tests.python.pipeline.runner import ACCOUNT, FAILURE, SKIPPED, SUCCESS, GitHub
from tests.waiting import eventually

pytestmark = [pytest.mark.endpoint, pytest.mark.long]


@pytest.fixture(scope="class")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    """Yield a repository with the workflows, and an account with nothing but the bucket that bootstrap creates."""
    with empty_account(tmp_path_factory.mktemp("pipeline")) as github:
        github.client("s3").create_bucket(
            Bucket=f"path-to-live-state-{ACCOUNT}-{REGION}",
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        yield github


def test_plan_that_breaks_a_rule_fails_before_anybody_approves_it(github: GitHub) -> None:
    """A second way in from the internet, without the throttles, the logs, and the alarms of the API."""
    entry = 'resource "aws_lambda_function_url" "open" {\n  function_name      = module.function.name\n'
    entry += '  authorization_type = "AWS_IAM"\n}\n\n'
    github.change("terraform/main.tf", 'module "api" {', f'{entry}module "api" {{', "Open another entry")
    run = github.run("path.yml")
    assert run.results() == {
        "build": SUCCESS,
        "plan": FAILURE,
        **dict.fromkeys(["infrastructure", "dev", "test", "live"], SKIPPED),
    }
    assert "plan CKV_PTL_4 aws_lambda_function_url.open: Ensure that only the HTTP API" in run.jobs["plan"].log
    assert "plan CKV_PTL_4 aws_lambda_function_url.open" in run.summary
    assert github.client("lambda").list_functions()["Functions"] == []


@pytest.mark.story
class TestFirstRuns:
    """The first run in an empty account, and a change that goes to live."""

    def test_first_run_creates_every_stage_and_pins_it(self, github: GitHub) -> None:
        run = succeeded(github.run("path.yml"))
        assert run.results() == {
            **dict.fromkeys(["build", "plan", "infrastructure", "dev", "test"], SUCCESS),
            "live": SKIPPED,
        }
        assert versions(github) == {"dev": "1", "test": "1", "live": "1"}
        assert pins(github) == {"dev": "newest", "test": "1", "live": "1"}
        assert "create module.function.aws_lambda_function.this" in run.summary
        assert re.fullmatch(r"https://\w+\.execute-api\.eu-west-2\.amazonaws\.com/test/", run.jobs["test"].url)

    def test_change_goes_to_live(self, github: GitHub) -> None:
        github.change(ROUTES, '"Hello, World!"', '"Hello again, World!"', "Greet again")
        with visitors(github, "live"):
            run = succeeded(github.run("path.yml"))
        assert run.results() == {
            **dict.fromkeys(["build", "plan", "dev", "test", "live"], SUCCESS),
            "infrastructure": SKIPPED,
        }
        assert versions(github) == {"dev": "2", "test": "2", "live": "2"}
        assert pins(github) == {"dev": "newest", "test": "2", "live": "2"}
        assert "Greet again" in run.summary
        assert re.search(r"live-release-2-\S+: succeeded", run.summary)
        assert re.search(r"0 of [\d,]+ invocations of version 2 failed", run.summary)

    def test_pins_are_pushed_to_a_main_that_has_moved(self, github: GitHub) -> None:
        github.change(ROUTES, '"Hello again, World!"', '"Hello 3"', "Greet for the third time")
        run = github.start("path.yml").complete(until="test")
        moved = github.change("README.md", "# Path to Live", "# Path to Live, with docs", "Write docs")
        succeeded(run.complete(until="live"))
        assert pins(github) == {"dev": "newest", "test": "3", "live": "2"}
        assert github.show("README.md").startswith("# Path to Live, with docs")
        parent, *others = github.git("ls-remote", str(github.origin), "main").split()[:1]
        assert (parent != moved, others) == (True, [])

    def test_pin_of_a_protected_main_becomes_a_pull_request(self, github: GitHub) -> None:
        github.protected.touch()
        before = github.main
        with visitors(github, "live"):
            run = succeeded(github.run("path.yml"))
        assert run.jobs["live"].result == SUCCESS
        assert versions(github) == {"dev": "3", "test": "3", "live": "3"}
        assert github.main == before
        assert pins(github, "pins") == {"dev": "newest", "test": "3", "live": "3"}
        assert [request["title"] for request in github.requests()] == ["Pin live to version 3, routes 1"]
        assert "https://github.com/octocat/hello/pull/1" in run.summary

    def test_next_run_is_right_without_the_pin(self, github: GitHub) -> None:
        run = succeeded(github.run("path.yml"))
        assert (run.jobs["infrastructure"].result, run.jobs["live"].result) == (SKIPPED, SKIPPED)
        assert versions(github) == {"dev": "3", "test": "3", "live": "3"}
        assert len(github.requests()) == 1
        github.protected.unlink()

    def test_drift_fails_with_its_plan(self, github: GitHub) -> None:
        assert github.run("drift.yml", "schedule").results() == {"drift": SUCCESS}
        logs, group = github.client("logs"), {"logGroupName": "/aws/lambda/path-to-live"}
        logs.put_retention_policy(**group, retentionInDays=1)
        run = github.run("drift.yml", "schedule")
        logs.put_retention_policy(**group, retentionInDays=30)
        assert run.results() == {"drift": FAILURE}
        assert "update module.function.aws_cloudwatch_log_group.this: retention_in_days 1 -> 30" in run.summary
        assert "::error title=Drift::The infrastructure differs from main." in run.jobs["drift"].log

    def test_bad_change_is_rolled_back_and_the_same_job_is_refused(self, github: GitHub) -> None:
        bad = 'if request.invocation.alias == "live":\n        raise RuntimeError\n    return text_response("Hello 3")'
        github.change(ROUTES, 'return text_response("Hello 3")', bad, "Fail on live")
        with visitors(github, "live"):
            run = github.run("path.yml")
            assert run.results() == {
                **dict.fromkeys(["build", "plan", "dev", "test"], SUCCESS),
                "infrastructure": SKIPPED,
                "live": FAILURE,
            }
            assert versions(github) == {"dev": "4", "test": "4", "live": "3"}
            assert re.search(r"live-release-4-\S+: rolled back", run.summary)
            assert pins(github)["test"] == "4"
            again = run.complete()
        assert again.jobs["live"].result == FAILURE
        assert "was rolled back" in again.jobs["live"].log
        assert versions(github)["live"] == "3"

    def test_rollback_does_not_wait_for_a_bake(self, github: GitHub) -> None:
        github.change(ROUTES, 'if request.invocation.alias == "live":\n        raise RuntimeError\n    ', "", "Fix")
        run = github.start("path.yml").complete(until="live")
        with visitors(github, "live"):
            thread = in_background(run)
            eventually(lambda: weights(github, "live") == {"5": 1.0}, 240)
            rollback = succeeded(github.run("rollback.yml", "workflow_dispatch", stage="live", version=""))
            thread.join()
        assert run.jobs["live"].result == FAILURE
        assert rollback.jobs["rollback"].result == SUCCESS
        assert versions(github) == {"dev": "5", "test": "5", "live": "3"}
        assert weights(github, "live") == {}
        assert "aborted by octocat@github" in run.jobs["live"].log

    def test_two_pushes_race_and_the_newer_wins(self, github: GitHub) -> None:
        github.change(ROUTES, '"Hello 3"', '"Hello 6"', "Greet for the sixth time")
        first = github.start("path.yml").complete(until="dev")
        github.change(ROUTES, '"Hello 6"', '"Hello 7"', "Greet for the seventh time")
        second = github.start("path.yml").complete(until="test")
        assert versions(github)["dev"] == "6"
        with visitors(github, "live"):
            threads = [in_background(first), in_background(second)]
            for thread in threads:
                thread.join()
        succeeded(first)
        succeeded(second)
        assert first.jobs["dev"].outputs["state"] == "superseded"
        assert "Superseded: dev runs version 6 of commit" in first.summary
        assert first.jobs["test"].result == SKIPPED
        assert versions(github) == {"dev": "6", "test": "6", "live": "6"}
        assert pins(github) == {"dev": "newest", "test": "6", "live": "6"}

    def test_run_continues_after_a_failure_of_any_step(self, github: GitHub) -> None:
        github.change("terraform/main.tf", "var.function.memory_megabytes", "256", "Add memory")
        github.change(ROUTES, '"Hello 7"', '"Hello 8"', "Greet for the eighth time")
        run, lost = github.start("path.yml"), set[tuple[str, str]]()

        def lose(job: str, step: str) -> bool:
            new = step.startswith("make") and (job, step) not in lost
            lost.add((job, step))
            return new

        run.loses = lose
        with visitors(github, "live"):
            while FAILURE in run.complete().results().values():
                assert run.attempts < 40, run.logs()
        assert {job for job, _ in lost} == {"build", "plan", "infrastructure", "dev", "test", "live"}
        (newest,) = set(versions(github).values())
        assert pins(github) == {"dev": "newest", "test": newest, "live": newest}
        function = github.client("lambda").get_function_configuration(FunctionName="path-to-live", Qualifier=newest)
        assert function["MemorySize"] == 256
