"""A response that is lost on its way makes the provider repeat a request, and fail: what it creates exists already."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import urlsplit

import pytest

from pathtolive import deployment
from pathtolive.cli import CommandError
from tests.checkout import Checkout
from tests.conftest import local_aws

EXISTS = "operation error Lambda: CreateAlias, ResourceConflictException: Alias already exists: live"
# Requests whose first response is lost: POST, with one of these paths or targets.
LOST = ("/2015-03-31/functions/path-to-live/aliases", "TrentService.CreateAlias", "Logs_20140328.CreateLogGroup")


class Losing(http.server.BaseHTTPRequestHandler):
    """Pass requests on to ``endpoint``, and lose the first response to each request in LOST."""

    protocol_version = "HTTP/1.1"
    endpoint = ""
    lost: ClassVar[Counter[str]] = Counter()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = urlsplit(self.endpoint).netloc
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request(self.command, self.path, body, {**dict(self.headers), "Host": address})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        for name in LOST:
            if self.command == "POST" and name in {self.path, self.headers.get("X-Amz-Target")} and not self.lost[name]:
                self.lost[name] += 1
                self.close_connection = True
                return
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
    setattr(Losing, f"do_{method}", Losing._pass_on)


@contextlib.contextmanager
def losing(endpoint: str) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Yield the URL of a proxy that loses responses, and how many it has lost."""

    class Handler(Losing):
        lost: ClassVar[Counter[str]] = Counter()

    Handler.endpoint = endpoint
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", Handler.lost
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.long
@pytest.mark.endpoint
def test_deployment_imports_what_exists_already(tmp_path: Path) -> None:
    with (
        local_aws(tmp_path / "log") as endpoint,
        losing(endpoint) as (url, lost),
        Checkout(tmp_path / "checkout", AWS_ENDPOINT_URL=url) as checkout,
    ):
        printed = checkout.make("build deploy")
        assert lost == dict.fromkeys(LOST, 1)
        assert " to import, " in printed
        assert "No changes." in checkout.make("deploy")


@pytest.fixture
def here() -> mock.Mock:
    """Return a stack whose plans and changes are recorded."""
    stack = mock.Mock()
    stack.untaint.return_value = False
    stack.plan.side_effect = ["first plan", "second plan", "third plan"]
    return stack


@pytest.mark.parametrize("reason", [EXISTS, "EntityAlreadyExists: Role with name path-to-live already exists."])
def test_change_is_planned_again_if_a_resource_exists_already(here: mock.Mock, reason: str) -> None:
    here.apply.side_effect = [CommandError(reason), None]
    deployment.apply(here, lambda: here.plan({}), lambda _: None)
    assert here.apply.call_args_list == [mock.call("first plan"), mock.call("second plan")]


def test_change_is_planned_again_twice_at_most(here: mock.Mock) -> None:
    here.apply.side_effect = CommandError(EXISTS)
    with pytest.raises(CommandError, match="already exists"):
        deployment.apply(here, lambda: here.plan({}), lambda _: None)
    assert here.apply.call_count == 3


def test_change_is_not_planned_again_for_another_reason(here: mock.Mock) -> None:
    here.apply.side_effect = CommandError("AccessDenied")
    with pytest.raises(CommandError, match="AccessDenied"):
        deployment.apply(here, lambda: here.plan({}), lambda _: None)
    assert here.apply.call_count == 1
