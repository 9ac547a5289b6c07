"""Start MiniStack in this process, on loopback only, with the behaviours of this package."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import os
import re
import socket
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emulator import adapter, clock, fence, hooks, names
from emulator.persistence import directory
from emulator.persistence.database import Database, UnreadableError, UnusableError

if TYPE_CHECKING:
    from emulator.asgi import App

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
# How long requests in progress have to finish when the server stops.
STOP_SECONDS = 3
# An Upgrade header for a protocol other than WebSocket.
OTHER_UPGRADE = re.compile(rb"\r\nUpgrade:(?![ \t]*websocket[ \t]*(?:\r\n|\Z))[^\r\n]*(?=\r\n|\Z)", re.IGNORECASE)


class ServerError(RuntimeError):
    """Local AWS cannot start; the message names the remedy."""


def load(port: int, state: Path | None, speed: float = 1) -> App:
    """Return local AWS as an ASGI application. Call it once per process: MiniStack's state is global.

    ``state`` is the directory that keeps the state over a restart; without it, the state is lost. A state that cannot
    be read is set aside, and what is printed says so. ``speed`` is how many of AWS's seconds pass in a real one: see
    ``clock``.

    Raises:
        ServerError: MiniStack is not installed, or is another version, or the state cannot be used.
        HookError: MiniStack lacks something that a behaviour uses.
    """
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found != hooks.MINISTACK_VERSION:
        raise ServerError(
            f"Local AWS needs MiniStack {hooks.MINISTACK_VERSION}, found {found or 'none'}. {hooks.REMEDY}"
        )
    database = None if state is None else _database(state)
    clock.speed = speed
    # MiniStack reads its settings when it is imported.
    os.environ.update(_settings(port, state))
    ministack = importlib.import_module("ministack.app")
    # Before the behaviours are imported: they import names of MiniStack.
    names.check()
    importlib.import_module("emulator.behaviours").install()
    addresses = importlib.import_module("emulator.api_gateway.addresses")
    app: App = ministack.app
    if state is not None:
        kept = importlib.import_module("emulator.persistence.lifecycle").Lifecycle(state, database, port)
        kept.install()
        app = kept.saver.around(app, addresses.is_stage)
    return adapter.around(fence.around(app, port, addresses.is_stage))


def serve(port: int, state: Path | None, speed: float = 1) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ServerError: the port is taken, or as for ``load``.
    """
    check_port(port)
    app = load(port, state, speed)
    asyncio.run(_Server(_configuration(app, port)).serve())


def _database(state: Path) -> Database:
    try:
        try:
            return directory.opened(state)
        except UnreadableError as error:
            print(directory.set_aside(state, str(error)), flush=True)
            return directory.opened(state)
    except (OSError, UnusableError) as error:
        raise ServerError(f"The state in {state} cannot be used: {error}") from error


def check_port(port: int) -> None:
    """Raise ServerError if something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"Port {port} of {HOST} cannot be used ({error.strerror}). "
                "Stop the process that uses it, or choose another port: --port 4567, or make local PORT=4567"
            ) from error


def _configuration(app: App, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Any", app),
        HOST,
        port,
        access_log=False,
        # MiniStack adds one.
        date_header=False,
        http=_Connection,
        lifespan="on",
        log_config=None,
        # Otherwise, a request header could replace the address of the client.
        proxy_headers=False,
        # Otherwise, an unsigned request could get the account of an earlier one on its connection.
        reset_contextvars=True,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        # Longer than clients keep idle connections: 90 s in the AWS SDK for Go. If the server closes one, a request can
        # be on its way, and its response is lost. The client repeats it, and fails because the resource already exists.
        timeout_keep_alive=300,
        ws="wsproto",
        # Otherwise, uvicorn closes the connection of a client that is busy, or paused in a debugger.
        ws_ping_interval=None,
    )


class _Connection(HttpToolsProtocol):
    """A connection that corrects how httptools reads upgrades, header values, and trailers.

    https://www.rfc-editor.org/rfc/rfc9112
    """

    _in_body = False

    def data_received(self, data: bytes) -> None:
        if not self._in_body and b"pgrade" in data:
            # Java's client and curl offer HTTP/2 or TLS, and httptools would drop the body of their request.
            head, end, body = data.partition(b"\r\n\r\n")
            data = OTHER_UPGRADE.sub(b"", head) + end + body
        super().data_received(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_body = True
        # httptools adds the trailers of a chunked request to this copy, and not to the headers of the request.
        self.headers = self.headers.copy()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False


class _Server(uvicorn.Server):
    """A server that prints its URL when it answers, and exits with status 0 on SIGINT and SIGTERM."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._freeze = importlib.import_module("emulator.step_functions.executions").freeze
        logging.getLogger("uvicorn.error").addFilter(_is_worth_reading)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"Local AWS answers on http://{HOST}:{self.config.port}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Stop with status 0. Uvicorn's own method records the signal, and ends the process by it."""
        self._freeze()
        self.should_exit = True


def _is_worth_reading(record: logging.LogRecord) -> bool:
    # When uvicorn stops, it logs how many requests it cancels. Their tracebacks add nothing.
    canceled = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    # Uvicorn also logs this after a WebSocket was refused correctly.
    return not canceled and record.msg != "ASGI callable returned without completing handshake."


def _settings(port: int, state: Path | None) -> dict[str, Any]:
    settings = {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        # The names of stages, buckets and the like end in it; the fence admits no other.
        "MINISTACK_HOST": "localhost",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
    }
    if state is not None:
        settings |= {
            "PERSIST_STATE": "1",
            "S3_DATA_DIR": str(state / "s3"),
            "S3_PERSIST": "1",
            "STATE_DIR": str(state),
        }
    return settings
