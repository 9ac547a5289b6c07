"""Refuse the requests of web pages before they reach MiniStack.

Every page in a browser can send requests to localhost, and whoever reaches the control plane can run code. Checking
``Host`` stops DNS rebinding. ``Origin`` and ``Sec-Fetch-Site`` tell a page from a tool: browsers set them, and pages
cannot change them.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate

from emulator.asgi import App, Message, Receive, Scope, Send

HTTP_PORT = 80
# A DNS name has at most 253 characters, a port five digits.
LONGEST_AUTHORITY = 259
LABEL = rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rb"(?:(?:" + LABEL + rb"\.)*localhost|127\.0\.0\.1|\[::1\])", re.IGNORECASE)
CORS_PREFIX = b"access-control-"


def around(app: App, port: int, is_stage: Callable[[str, str], bool]) -> App:
    """Return the application with the fence around it.

    ``is_stage`` takes a ``Host`` header and a path, and returns whether they address a stage of an API. Pages of any
    origin may call stages, as on AWS.
    """

    async def fenced(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not is_local(hosts[0], port):
            names = f"localhost:{port}, 127.0.0.1:{port}, [::1]:{port}, and names that end in .localhost:{port}"
            reason = f"Local AWS only accepts requests to {names}. Use one of these in the URL."
            await _refuse(scope, receive, send, reason)
        elif is_stage(hosts[0].decode("ascii"), scope["path"]):
            await app(scope, receive, send)
        elif is_foreign(hosts[0], _values(scope, b"origin"), _values(scope, b"sec-fetch-site")):
            await _refuse(
                scope,
                receive,
                send,
                "Local AWS does not accept requests from web pages of other origins, except to the stages of an API. "
                "Send the request with the AWS CLI, an AWS SDK, or curl.",
            )
        else:
            await app(scope, receive, _without_cors(send))

    return fenced


def is_local(authority: bytes, port: int) -> bool:
    """Return whether a ``Host`` header names this machine and the port."""
    if len(authority) > LONGEST_AUTHORITY:
        return False
    host = authority.removesuffix(b":%d" % port)
    return (host != authority or port == HTTP_PORT) and HOST.fullmatch(host) is not None


def is_foreign(host: bytes, origins: list[bytes], sites: list[bytes]) -> bool:
    """Return whether a page of another origin sent a request: another name of this machine is another origin.

    Not every browser sends ``Sec-Fetch-Site`` with the handshake of a WebSocket, so ``Origin`` has to match by itself.
    """
    return origins not in ([], [b"http://" + host.lower()]) or not {b"same-origin", b"none"}.issuperset(sites)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    kind = "http.response"
    if scope["type"] == "websocket":
        # https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        kind = "websocket.http.response"
    elif _values(scope, b"expect"):
        # Ask the client to send the body. Otherwise, the server would read the next request as the body.
        await receive()
    body = f"{reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"date", formatdate(usegmt=True).encode()),
    ]
    await send({"type": f"{kind}.start", "status": 403, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _without_cors(send: Send) -> Send:
    """Return a ``send`` that removes MiniStack's own CORS headers: they let every page read the answer."""

    async def sending(message: Message) -> None:
        if "headers" in message:
            kept = [(name, value) for name, value in message["headers"] if not name.lower().startswith(CORS_PREFIX)]
            message = {**message, "headers": kept}
        await send(message)

    return sending
