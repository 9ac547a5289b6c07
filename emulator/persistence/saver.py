"""Save a change before the request that made it is answered, and what else has changed within a second."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from emulator.asgi import App, Message, Receive, Scope, Send
from emulator.persistence.database import Changes, Database, Row

# Executions, alarms, and threads change something too.
SECONDS = 1.0
# The operations that change nothing, in the protocols that name them.
READS = re.compile(r"(?:BatchGet|Describe|Filter|Get|List)[A-Z]\w*|Query|Scan")


class Part(Protocol):
    """A part of the state."""

    name: str

    def changes(self) -> Changes:
        """Return what has changed since the last call."""

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore the state. Any error means that it cannot be read."""


class Saver:
    """Saves the parts in a database."""

    def __init__(self, database: Database, parts: Sequence[Part]) -> None:
        self.database, self._parts = database, parts
        self._unsaved: dict[str, Changes] = {}
        self._turn = asyncio.Lock()
        self._asked = self._answered = 0
        self._failed = False

    def around(self, app: App, is_stage: Callable[[str, str], bool]) -> App:
        """Return the application, whose answers to requests for changes wait until the changes are saved.

        ``is_stage`` takes a ``Host`` header and a path, and returns whether they address a stage of an API.
        """

        async def saving(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await self.save()
                await send(message)

            await app(scope, receive, sending if may_change(scope, is_stage) else send)

        return saving

    def restore(self) -> None:
        """Restore all parts."""
        for part in self._parts:
            part.restore(self.database.rows(part.name))

    async def save(self) -> None:
        """Save what has changed until now. Requests that wait at the same time share the work."""
        self._asked += 1
        number = self._asked
        async with self._turn:
            if self._answered < number:
                self._answered = self._asked
                self._collect()
                await asyncio.to_thread(self._write)

    def save_last(self) -> None:
        """Save what has changed, and close the database."""
        self._collect()
        self._write()
        self.database.close()

    async def run(self) -> None:
        """Save each second."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.save()

    def _collect(self) -> None:
        for part in self._parts:
            if changes := part.changes():
                self._unsaved[part.name] = self._unsaved.get(part.name, Changes()).followed_by(changes)

    def _write(self) -> None:
        try:
            self.database.write(self._unsaved)
        except sqlite3.Error as error:
            if not self._failed:
                print(f"The state cannot be saved: {error}. Local AWS tries again.", file=sys.stderr, flush=True)
            self._failed = True
        else:
            self._unsaved, self._failed = {}, False


def may_change(scope: Scope, is_stage: Callable[[str, str], bool]) -> bool:
    """Return whether a request can change anything but logs and metrics."""
    if scope["type"] != "http" or scope["path"].endswith("invocations"):
        return False
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html
        return b"Action=" in scope["query_string"]
    headers = dict(scope["headers"])
    # AWS JSON has it in a header, and Smithy RPC v2 CBOR at the end of the path: see cloudwatch.protocol.
    operation = headers.get(b"x-amz-target", b"").decode("latin-1").rpartition(".")[2]
    operation = operation or scope["path"].partition("/operation/")[2]
    return not READS.fullmatch(operation) and not is_stage(headers.get(b"host", b"").decode("latin-1"), scope["path"])
