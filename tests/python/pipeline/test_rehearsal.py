"""A rehearsal of the delivery pipeline: the workflows themselves, against local AWS."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator

import pytest

from tests.conftest import REGION, get, local_aws
from tests.python.pipeline import names
from tests.python.pipeline.runner import ACCOUNT, FAILURE, SKIPPED, SUCCESS, GitHub, Run

ROUTES = "lambda/service/routes.py"
CONFIG = "terraform/config.tf"


@pytest.fixture(scope="class")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    """Yield a repository with the workflows, and an account with nothing but the bucket that bootstrap creates."""
    directory = tmp_path_factory.mktemp("pipeline")
    with (
        local_aws(directory / "local-aws.log") as endpoint,
        names.resolved(directory, int(endpoint.rpartition(":")[2])) as environment,
    ):
        github = GitHub(directory, endpoint, environment)
        github.client("s3").create_bucket(
            Bucket=f"path-to-live-state-{ACCOUNT}-{REGION}",
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        yield github


def versions(github: GitHub) -> dict[str, str]:
    """Return the version of each stage, from Lambda."""
    aliases = github.client("lambda").list_aliases(FunctionName="path-to-live")["Aliases"]
    return {alias["Name"]: alias["FunctionVersion"] for alias in aliases}


def pins(github: GitHub, branch: str = "main") -> dict[str, str]:
    """Return the version that config.tf pins for each stage, if it does."""
    return dict(re.findall(r'(\w+) += \{ function_version = "(\w+)"', github.show(CONFIG, branch)))


@contextlib.contextmanager
def visitors(github: GitHub, stage: str) -> Iterator[None]:
    """Send requests to a stage, as its users do."""
    (api,) = github.client("apigatewayv2").get_apis()["Items"]
    url, stop = f"{github.endpoint}/_aws/execute-api/{api['ApiId']}/{stage}/", threading.Event()

    def visit() -> None:
        while not stop.wait(0.02):
            get(url)

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def succeeded(run: Run) -> Run:
    assert FAILURE not in run.results().values(), run.logs()
    return run


@pytest.mark.endpoint
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
        assert re.search(r"0 of \d+ invocations of version 2 failed", run.summary)
