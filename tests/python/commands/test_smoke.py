"""The requests that verify a stage after a deployment."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from pathtolive import deployment, smoke
from pathtolive.cli import CommandError
from tests.conftest import free_port

LOGS = "make logs STAGE=dev"
Serve = Callable[[list[tuple[int, str]]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Yield a function that serves the given answers in order, repeats the last one, and returns the URL."""
    servers: list[http.server.HTTPServer] = []

    def start(answers: list[tuple[int, str]]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_check_accepts_any_successful_answer(serve: Serve) -> None:
    smoke.check(serve([(200, "Good morning")]), LOGS)


def test_check_waits_for_a_new_stage(serve: Serve) -> None:
    smoke.check(serve([(404, ""), (500, ""), (200, "Hello")]), LOGS)


def test_check_reports_an_unexpected_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(
        CommandError, match=r"returned status 500 instead of 200: broken\nRead the log with: make logs STAGE=dev"
    ):
        smoke.check(serve([(500, "broken")]), LOGS)


def test_check_reports_that_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(CommandError, match=r"cannot be reached: .*Connection refused.* verify its DNS record and its"):
        smoke.check(f"http://127.0.0.1:{free_port()}/", LOGS)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [((200, '{"long": "1"}'), {"long": "1"}), ((200, "No build info available"), None), ((500, "{}"), None)],
)
def test_build_info_is_the_json_answer_of_a_stage(
    serve: Serve, answer: tuple[int, str], expected: dict[str, str] | None
) -> None:
    assert smoke.build_info(serve([answer])) == expected


def test_stage_that_answered_before_a_deployment_must_answer_after_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "PATIENCE_SECONDS", 0.1)
    urls = {
        "dev": serve([(200, "")]),
        "test": serve([(429, ""), (200, ""), (500, "broken")]),
        "live": serve([(500, "broken")]),
    }
    here = mock.Mock(stages=dict.fromkeys(urls), stage_url=urls.__getitem__)
    here.logs_command = "make logs STAGE={}".format
    answering = deployment.answering(here, urls)
    assert answering == {"dev", "test"}
    with pytest.raises(CommandError, match=f"^{urls['test']} returned status 500"):
        deployment.verify_answers(here, answering)
    deployment.verify_answers(here, {"dev"})
    assert "live still does not answer with status 200. Read its log with: make logs STAGE=live\n" in (
        capsys.readouterr().out
    )
