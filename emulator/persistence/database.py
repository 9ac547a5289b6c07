"""The database of the state: changes become a part of it all together, or not at all.

https://www.sqlite.org/atomiccommit.html
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

# Another number means that other code wrote the database.
FORMAT = 1
SCHEMA = """
    CREATE TABLE rows (
        part TEXT NOT NULL, owner TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (part, owner, key)
    ) WITHOUT ROWID
"""


class UnreadableError(Exception):
    """The state is damaged, or other code wrote it; the message says which."""


class UnusableError(Exception):
    """The state cannot be opened; the message says why."""


class Row(NamedTuple):
    """A piece of the state. Its owner is the resource that it belongs to."""

    owner: str
    key: str
    value: str


@dataclass
class Changes:
    """What has changed in a part: owners that are deleted with their rows, and then rows, where None is deleted."""

    deleted: set[str] = field(default_factory=set)
    rows: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.deleted or self.rows)

    def followed_by(self, later: Changes) -> Changes:
        """Return these changes and later ones."""
        kept = {key: value for key, value in self.rows.items() if key[0] not in later.deleted}
        return Changes(self.deleted | later.deleted, kept | later.rows)


class Database:
    """An open database. No other process can use it."""

    def __init__(self, path: Path) -> None:
        """Open a database, or create it.

        Raises:
            UnreadableError: it is damaged, or other code wrote it.
            UnusableError: another process uses it, or the disk is full, for example.
        """
        # What is written last can meet what is being written.
        self._turn = threading.Lock()
        with contextlib.ExitStack() as undo:
            try:
                # The thread that writes is not always the one that opens.
                self._connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
                undo.callback(self._connection.close)
                self._open()
            except sqlite3.DatabaseError as error:
                # https://www.sqlite.org/rescode.html: extended codes have the primary one in the lowest byte.
                if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                    raise UnreadableError(str(error)) from error
                raise UnusableError(str(error)) from error
            undo.pop_all()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def rows(self, part: str) -> Iterator[Row]:
        """Yield the rows of a part."""
        query = "SELECT owner, key, value FROM rows WHERE part = ? ORDER BY owner, key"
        return (Row(*row) for row in self._connection.execute(query, (part,)))

    def write(self, changes: Mapping[str, Changes]) -> None:
        """Write the changes of parts, by their names.

        Raises:
            sqlite3.Error: they cannot be written. Nothing has changed.
        """
        with self._turn, self._connection as transaction:
            for part, changed in changes.items():
                transaction.executemany(
                    "DELETE FROM rows WHERE part = ? AND owner = ?", [(part, owner) for owner in changed.deleted]
                )
                transaction.executemany(
                    "DELETE FROM rows WHERE part = ? AND owner = ? AND key = ?",
                    [(part, *row) for row, value in changed.rows.items() if value is None],
                )
                transaction.executemany(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
                    [(part, *row, value) for row, value in changed.rows.items() if value is not None],
                )

    def _open(self) -> None:
        # A process that is killed loses nothing. If the machine loses power, the last changes can be lost.
        # https://www.sqlite.org/pragma.html#pragma_synchronous
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            self._connection.execute(f"PRAGMA {setting}")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not version and not tables:
            with self._connection as transaction:
                transaction.execute("BEGIN EXCLUSIVE")
                transaction.execute(SCHEMA)
                transaction.execute(f"PRAGMA user_version = {FORMAT}")
        elif version != FORMAT:
            raise UnreadableError(f"its format is {version}, not {FORMAT}")
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise UnreadableError(found)
