"""Restore the state when MiniStack starts, and save it while it serves: MiniStack writes it only when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ministack.app
from ministack.services import lambda_svc

from emulator import hooks
from emulator.asgi import Receive, Scope, Send
from emulator.cloudwatch.history import History
from emulator.cloudwatch.metrics import STORE
from emulator.cloudwatch_logs.events import EVENTS
from emulator.lambda_.versions import NUMBERS
from emulator.persistence import directory
from emulator.persistence.database import Database
from emulator.persistence.saver import Saver
from emulator.persistence.services import Services
from emulator.step_functions import executions
from emulator.step_functions.restart import EXECUTIONS


class Lifecycle:
    """What happens to the state in a directory from the start of MiniStack to its end."""

    def __init__(self, path: Path, database: Database, port: int) -> None:
        self._path, self._port = path, port
        # Services come first: the other parts belong to what they have.
        self.saver = Saver(database, [Services(), NUMBERS, STORE, History(), EVENTS, EXECUTIONS])
        self._restoring = False
        # It takes long to hash large packages, which rarely change.
        self._digests: dict[bytes, str] = {}

    def install(self) -> None:
        """Put this in the place of MiniStack's files."""
        # A task whose result is lost is started again: the fewer, the better.
        executions.ON_CHANGE.append(self.saver.soon)
        hooks.wrap(ministack.app, "_load_persisted_state", [], self._restore)
        hooks.wrap(ministack.app, "save_all", ["services"], lambda *_: self.saver.save_last())
        hooks.wrap(ministack.app, "_handle_lifespan", ["scope", "receive", "send"], self._serve)
        hooks.wrap(lambda_svc, "_write_code_blob", ["code_zip"], self._write_package)
        hooks.wrap(lambda_svc, "_prune_orphan_code_blobs", ["referenced"], self._delete_packages)

    def _restore(self, _original: Callable[..., Any]) -> None:
        self._restoring = True
        try:
            self.saver.restore()
            lambda_svc.get_state()
        except Exception as error:  # noqa: BLE001 - whatever a state that nobody has written leads to
            self.saver.database.close()
            print(directory.set_aside(self._path, f"{type(error).__name__}: {error}"), flush=True)
            ministack.app._reset_all_state()
            self.saver.database = directory.opened(self._path)
        self._restoring = False

    async def _serve(self, original: Callable[..., Any], scope: Scope, receive: Receive, send: Send) -> None:
        tasks = [asyncio.create_task(self.saver.run()), asyncio.create_task(self._resume())]
        try:
            await original(scope, receive, send)
        finally:
            for task in tasks:
                task.cancel()

    async def _resume(self) -> None:
        """Continue executions when local AWS answers: they send requests to it."""
        while True:
            with contextlib.suppress(OSError):
                _, connection = await asyncio.open_connection("127.0.0.1", self._port)
                connection.close()
                break
            await asyncio.sleep(0.05)
        EXECUTIONS.resume()

    def _write_package(self, original: Callable[..., str], code_zip: bytes) -> str:
        """Write the package of a function into a file that has its hash for a name, unless the file exists."""
        if code_zip not in self._digests:
            self._digests[code_zip] = hashlib.sha256(code_zip).hexdigest()
        digest = self._digests[code_zip]
        return digest if Path(lambda_svc.CODE_BLOB_DIR, f"{digest}.zip").exists() else original(code_zip)

    def _delete_packages(self, original: Callable[..., Any], referenced: set[str]) -> None:
        """Delete the files of packages that no function has, but not before it is saved that none has them."""
        self._digests = {code: digest for code, digest in self._digests.items() if digest in referenced}
        if self._restoring:
            original(referenced)
