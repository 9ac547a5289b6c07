"""The functional tests of the service: what its users rely on, by HTTP. They run against the stage that STAGE names."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from email.message import Message

import pytest

from pathtolive import stack, target
from pathtolive.cli import CommandError


@pytest.fixture(scope="session")
def url() -> str:
    """Return the URL of the stage, with a slash at its end."""
    if not (stage := os.environ.get("STAGE")):
        pytest.exit("Set STAGE, as in: make functional STAGE=test", returncode=2)
    here = stack.inspect(target.from_environment())
    try:
        here.config.stage(stage)
        return here.stage_url(stage)
    except CommandError as error:
        pytest.exit(str(error), returncode=2)


def request(url: str, method: str = "GET") -> tuple[int, Message, str]:
    """Return the status, the headers, and the body of a response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_root_greets(url: str) -> None:
    status, headers, body = request(url)
    assert (status, headers.get_content_type()) == (200, "text/plain")
    assert body


def test_build_info_names_the_stage_and_the_version(url: str) -> None:
    status, headers, body = request(f"{url}build-info")
    assert (status, headers.get_content_type()) == (200, "application/json")
    info = json.loads(body)
    assert info["stage"] == info["function"]["alias"] == os.environ["STAGE"]
    assert int(info["function"]["version"]) >= 1


@pytest.mark.parametrize("path", ["", "build-info"])
def test_other_methods_are_refused_with_those_that_are_allowed(url: str, path: str) -> None:
    status, headers, _ = request(f"{url}{path}", "DELETE")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_unknown_paths_are_not_found(url: str) -> None:
    assert request(f"{url}no-such-path")[0] == 404
