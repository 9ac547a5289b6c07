"""Save a change as soon as the request that made it has been answered, and what else has changed within a second.

If local AWS is killed, a client either knows of a change that is lost, or has no answer and no change. Terraform can
handle both. What it cannot handle is a resource that exists although it has had no answer: that "already exists".
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from emulator.asgi import App, Receive, Scope, Send
from emulator.persistence.database import Changes, Database, Row

# Alarms and functions change something too.
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
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = False

    def around(self, app: App, is_stage: Callable[[str, str], bool]) -> App:
        """Return the application, whose changes are saved.

        ``is_stage`` takes a ``Host`` header and a path, and returns whether they address a stage of an API.
        """

        async def saving(scope: Scope, receive: Receive, send: Send) -> None:
            changes = may_change(scope, is_stage)
            if changes and to_s3(scope):
                # MiniStack writes objects immediately. Terraform's state must not be newer than the resources in it.
                await self.save()
            try:
                await app(scope, receive, send)
            finally:
                if changes:
                    self._changed.set()

        return saving

    def restore(self) -> None:
        """Restore all parts."""
        for part in self._parts:
            part.restore(self.database.rows(part.name))

    async def save(self) -> None:
        """Save what has changed until now."""
        async with self._turn:
            self._collect()
            await asyncio.to_thread(self._write)

    def save_last(self) -> None:
        """Save what has changed, and close the database."""
        self._collect()
        self._write()
        self.database.close()

    def soon(self) -> None:
        """Save soon; other threads call this."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def run(self) -> None:
        """Save after each request for a change, and each second."""
        self._loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), SECONDS)
            self._changed.clear()
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


def to_s3(scope: Scope) -> bool:
    """Return whether a request is signed for S3.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    signed = dict(scope["headers"]).get(b"authorization", b"") + scope["query_string"].replace(b"%2F", b"/")
    return b"/s3/aws4_request" in signed
