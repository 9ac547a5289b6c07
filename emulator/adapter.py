"""Adapt MiniStack to uvicorn.

MiniStack passes on what a function returns, and uvicorn sends only valid responses: https://www.rfc-editor.org/rfc/rfc9110
"""

from __future__ import annotations

import contextlib
import logging
import re

from uvicorn.protocols.utils import ClientDisconnected

from emulator.asgi import App, Message, Receive, Scope, Send

STATUSES = range(200, 600)
# https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1
WITHOUT_CONTENT = {204, 304}
# https://www.rfc-editor.org/rfc/rfc9110#section-5.1
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# https://www.rfc-editor.org/rfc/rfc9110#section-5.5
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
LOGGER = logging.getLogger(__name__)


def around(app: App) -> App:
    """Return the application, adapted to uvicorn. For an invalid response or an error, it sends status 500."""

    async def adapted(scope: Scope, receive: Receive, send: Send) -> None:
        started = empty = False
        if scope["type"] == "websocket" and scope["subprotocols"]:
            # MiniStack reads this header, which uvicorn removes.
            offered = (b"sec-websocket-protocol", ", ".join(scope["subprotocols"]).encode())
            scope = {**scope, "headers": [*scope["headers"], offered]}

        async def sending(message: Message) -> None:
            nonlocal started, empty
            if message["type"] == "http.response.start":
                message = _checked(message)
                empty = message["status"] in WITHOUT_CONTENT
                started = True
            elif empty:
                message = {**message, "body": b""}
            # MiniStack would log the end of a WebSocket as an error.
            with contextlib.suppress(ClientDisconnected):
                await send(message)

        try:
            await app(scope, receive, sending)
        except Exception:
            if started or scope["type"] != "http":
                raise
            LOGGER.exception("Error in %s %s", scope["method"], scope["path"])
            # The body is empty, because an SDK tries to parse any other.
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    return adapted


def is_valid(name: str, value: str) -> bool:
    """Return whether a header may have a name and a value."""
    return bool(NAME.fullmatch(name)) and not CONTROL.search(value)


def _checked(message: Message) -> Message:
    """Return the start of a response, with a valid status and valid headers only.

    Raises:
        ValueError: the status or a header is invalid.
    """
    status = int(message["status"])
    if status not in STATUSES:
        raise ValueError(f"{status} is not a status of a response")
    # The server sends whole bodies, and adds this header to the others.
    dropped = {b"transfer-encoding", b"content-length"} if status in WITHOUT_CONTENT else {b"transfer-encoding"}
    headers = [(name.strip(), value.strip()) for name, value in message["headers"] if name.lower() not in dropped]
    for name, value in headers:
        if not is_valid(name.decode("latin-1"), value.decode("latin-1")):
            raise ValueError(f"{name!r} is not a header")
    return {**message, "status": status, "headers": headers}
