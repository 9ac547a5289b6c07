"""The responses that reach uvicorn."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from emulator import adapter
from emulator.asgi import App, Message, Receive, Scope, Send


def run(app: App, receive: Receive, send: Send) -> None:
    """Pass a request to an application."""

    async def call() -> None:
        await adapter.around(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)

    asyncio.run(call())


def sent(status: Any = 200, headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b"x") -> list[Message]:
    """Return what reaches uvicorn of a response."""
    messages: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        await send({"type": "http.response.body", "body": body})

    async def receive() -> Message:
        raise AssertionError("it reads nothing")

    async def send(message: Message) -> None:
        messages.append(message)

    run(app, receive, send)
    return messages


def test_status_can_be_a_string() -> None:
    assert sent("201")[0]["status"] == 201


@pytest.mark.parametrize("status", [0, 99, 100, 101, 600, 1000, "abc", None])
def test_invalid_status_is_an_error(status: Any, caplog: pytest.LogCaptureFixture) -> None:
    start, body = sent(status)
    assert (start["status"], body["body"]) == (500, b"")
    assert "Error in GET /" in caplog.text


@pytest.mark.parametrize("header", [(b"x", b"a\nb"), (b"x", b"a\x01b"), (b"x a", b"b"), (b"", b"b"), (b"x\r", b"\x7f")])
def test_invalid_header_is_an_error(header: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture) -> None:
    assert sent(headers=[header])[0]["status"] == 500
    assert caplog.records[0].levelno == logging.ERROR


def test_spaces_around_a_header_are_removed() -> None:
    assert sent(headers=[(b"X-A ", b"trail\n"), (b"y", "é".encode())])[0]["headers"] == [
        (b"X-A", b"trail"),
        (b"y", "é".encode()),
    ]


@pytest.mark.parametrize("status", [204, 304])
def test_response_without_content_has_none(status: int) -> None:
    start, body = sent(status, [(b"Content-Length", b"1"), (b"ETag", b"1")])
    assert (start["headers"], body["body"]) == ([(b"ETag", b"1")], b"")


def test_server_decides_how_a_response_is_sent() -> None:
    assert sent(headers=[(b"Transfer-Encoding", b"chunked"), (b"content-length", b"1")])[0]["headers"] == [
        (b"content-length", b"1")
    ]


def test_error_after_the_start_is_left_to_the_server() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError("broken")

    async def nothing(*_: Any) -> Any:
        return None

    with pytest.raises(OSError, match="broken"):
        run(app, nothing, nothing)
