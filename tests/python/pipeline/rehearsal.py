"""What rehearsals of the delivery pipeline share: what its stages run, their visitors, and runs in the background."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import get, local_aws
from tests.python.pipeline import names
from tests.python.pipeline.runner import FAILURE, GitHub, Run

ROUTES = "lambda/service/routes.py"
CONFIG = "terraform/config.tf"


@contextlib.contextmanager
def empty_account(directory: Path) -> Iterator[GitHub]:
    """Yield a repository with the workflows, and an account with nothing in it."""
    with (
        local_aws(directory / "local-aws.log") as endpoint,
        names.resolved(directory, int(endpoint.rpartition(":")[2])) as environment,
    ):
        yield GitHub(directory, endpoint, environment)


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


def in_background(run: Run) -> threading.Thread:
    """Run the other jobs of a run in the meantime."""
    thread = threading.Thread(target=run.complete)
    thread.start()
    return thread


def weights(github: GitHub, stage: str) -> dict[str, float]:
    """Return the weights of an alias, from Lambda."""
    alias = github.client("lambda").get_alias(FunctionName="path-to-live", Name=stage)
    found: dict[str, float] = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return found
