"""Start MiniStack in this process, on loopback only, with the behaviours of this package."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from emulator import clock, fence

if TYPE_CHECKING:
    from emulator.asgi import App

HOST = "127.0.0.1"
DEFAULT_PORT = 4566
MINISTACK_VERSION = "1.5.33"


class ServerError(RuntimeError):
    """Embedded AWS cannot start; the message names the remedy."""


def load(port: int, state: Path | None, speed: float = 1) -> App:
    """Return embedded AWS as an ASGI application. Once per process: MiniStack's state is global.

    ``state`` is the directory that keeps everything over a restart; without it, all is forgotten. ``speed`` is how many
    of AWS's seconds pass in a real one, where AWS is slow: see ``clock``.

    Raises:
        ServerError: MiniStack is missing or of another version.
        HookError: MiniStack lacks a function that a behaviour stands in for.
    """
    try:
        found = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found != MINISTACK_VERSION:
        raise ServerError(
            f"embedded AWS needs MiniStack {MINISTACK_VERSION}, found {found or 'none'}: "
            "install it with 'pip install --requirement requirements/run.txt'"
        )
    # MiniStack reads its settings when it is imported.
    os.environ.update(_settings(port, state, speed))
    ministack = importlib.import_module("ministack.app")
    importlib.import_module("emulator.behaviours").install()
    addresses = importlib.import_module("emulator.http_api.addresses")
    return fence.around(ministack.app, port, addresses.is_stage)


def serve(port: int, state: Path | None, speed: float = 1) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ServerError: the port is taken, or as for ``load``.
    """
    check_port(port)
    app = load(port, state, speed)
    asyncio.run(_serve(app, port))


def check_port(port: int) -> None:
    """Raise ServerError where something else listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(
                f"port {port} of {HOST} cannot be used ({error.strerror}): "
                "stop what listens there, or choose another port with PORT=4567"
            ) from error


async def _serve(app: App, port: int) -> None:
    from hypercorn.asyncio import serve  # noqa: PLC0415 - only where MiniStack's server is needed
    from hypercorn.config import Config  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"{HOST}:{port}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75
    print(f"Embedded AWS answers on http://{HOST}:{port}", flush=True)
    await serve(cast("Any", app), config, shutdown_trigger=stop.wait)


def _settings(port: int, state: Path | None, speed: float) -> dict[str, Any]:
    settings = {
        "BIND_HOST": HOST,
        clock.VARIABLE: str(speed),
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        # The names of stages, buckets and the like end in it; the fence admits no other.
        "MINISTACK_HOST": "localhost",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "SFN_WAIT_SCALE": str(1 / speed),
    }
    if state is not None:
        settings |= {
            "PERSIST_STATE": "1",
            "S3_DATA_DIR": str(state / "s3"),
            "S3_PERSIST": "1",
            "STATE_DIR": str(state),
        }
    return settings
