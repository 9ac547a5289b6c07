"""Close a connection as soon as its client has closed it."""

from __future__ import annotations

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer


class ClosingServer(TCPServer):
    """A connection. Hypercorn's own keeps its socket until the keep-alive timeout, so each command leaves a dozen.

    https://github.com/pgjones/hypercorn/blob/0.18.0/src/hypercorn/asyncio/tcp_server.py
    """

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


def install() -> None:
    """Let Hypercorn use this class."""
    run.TCPServer = ClosingServer  # type: ignore[attr-defined]
