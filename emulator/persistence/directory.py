"""The directory of the state: the database, and the files of MiniStack, which are S3's objects and Lambda's code."""

from __future__ import annotations

import json
import time
from pathlib import Path

from emulator.persistence.database import Database, UnreadableError, UnusableError

DATABASE = "state.sqlite"
OBJECTS = "s3"
VERSIONS = ".versions"
METADATA = ".meta.json"


def opened(directory: Path) -> Database:
    """Return the database of a directory, which is created if there is none.

    Raises:
        UnreadableError: it is damaged, or other code wrote it.
        UnusableError: another process uses it, or the disk is full, for example.
    """
    path = directory / DATABASE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        new = not path.exists() or not path.stat().st_size
        if new and any(not each.name.startswith(DATABASE) for each in directory.iterdir()):
            raise UnreadableError("it has no database")
        database = Database(path)
        _repair(directory / OBJECTS)
    except OSError as error:
        raise UnusableError(str(error)) from error
    return database


def set_aside(directory: Path, reason: str) -> str:
    """Rename a directory that cannot be read, and return what to tell the user."""
    name = f"{directory.name}.unreadable-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    kept = directory.rename(directory.with_name(name))
    return f"The saved state could not be read: {reason}. It is now in {kept}. Local AWS starts empty."


def _repair(objects: Path) -> None:
    """Undo what was not finished when the process was killed: MiniStack writes an object, and then its metadata."""
    for metadata in objects.glob(f"[0-9]*/**/*{METADATA}"):
        content = metadata.with_name(metadata.name.removesuffix(METADATA))
        if not content.exists() or content.stat().st_mtime_ns <= metadata.stat().st_mtime_ns:
            continue
        try:
            described = json.loads(metadata.read_text())
        except ValueError as error:
            raise UnreadableError(f"{metadata} is damaged") from error
        account, bucket, *key = content.relative_to(objects).parts
        before = objects.joinpath(VERSIONS, account, bucket, described.get("version_id") or "null", *key)
        if before.exists():
            before.replace(content)
        # MiniStack computes what is missing.
        _write(metadata, json.dumps({**described, "size": None, "etag": None, "checksums": {}}))


def _write(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.tmp")
    new.write_text(text)
    new.replace(path)
