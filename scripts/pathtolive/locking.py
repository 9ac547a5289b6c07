"""Locks: that of Terraform's state, and that of the target's directory on this machine.

Terraform locks its state while it plans or applies. Between the two, a command of the same directory would replace the
saved plan, config.tf, or the copy of the root module, so a command holds the second lock until it ends.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from pathtolive.cli import CommandError
from pathtolive.target import Target

# How long a command waits for another one.
DEFAULT_TIMEOUT = "2m"
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
POLL_SECONDS = 0.2
SUFFIX = ".tflock"
REFUSED = "Error acquiring the state lock"


@dataclass(frozen=True)
class Lock:
    """A lock: ``holder`` is ``user@host``, ``operation`` a command of Terraform."""

    id: str
    holder: str
    operation: str
    since: datetime

    def __str__(self) -> str:
        """Who holds the lock, as a sentence."""
        return (
            f"Terraform's state is locked: {self.holder} runs 'terraform {self.operation}' since "
            f"{self.since.astimezone():%Y-%m-%d %H:%M:%S}."
        )


def arguments() -> list[str]:
    """Return the argument that lets Terraform wait for a lock: LOCK_TIMEOUT, such as ``30s``."""
    return [f"-lock-timeout={timeout()}"]


def timeout() -> str:
    """Return how long a command waits for a lock, as Terraform and Go write it: LOCK_TIMEOUT, such as ``1m30s``."""
    return os.environ.get("LOCK_TIMEOUT") or DEFAULT_TIMEOUT


@functools.cache
def hold(path: Path) -> IO[str]:
    """Lock a file until this process ends, even if it is killed; a line in the file describes the command.

    Raises:
        CommandError: another command holds the lock, and does not end in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", timeout())
    deadline = time.monotonic() + sum(float(number) * UNITS[unit] for number, unit in parts)
    waiting = False
    while not _locked(file):
        holder = path.read_text(encoding="utf-8") or "Another command of this directory is running."
        if time.monotonic() > deadline:
            raise CommandError(f"{holder} Wait for it to end, then run the command again.")
        if not waiting:
            print(f"{holder} Waiting up to {timeout()} for it to end ...", flush=True)
        waiting = True
        time.sleep(POLL_SECONDS)
    file.truncate(0)
    file.write(
        f"'make {Path(sys.argv[0]).stem}' of this directory is running since {datetime.now():%Y-%m-%d %H:%M:%S} "
        f"(process {os.getpid()})."
    )
    file.flush()
    return file


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held(target: Target, bucket: str, key: str) -> Lock | None:
    """Return the lock of a state, or None if it is not locked.

    https://developer.hashicorp.com/terraform/language/backend/s3#state-locking
    """
    s3 = target.client("s3")
    try:
        content = json.loads(s3.get_object(Bucket=bucket, Key=f"{key}{SUFFIX}")["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None
    # Terraform writes nanoseconds, which Python 3.11 reads, but does not keep.
    since = datetime.fromisoformat(content["Created"])
    return Lock(content["ID"], content["Who"], content["Operation"].removeprefix("OperationType").lower(), since)


def release_all(target: Target, bucket: str) -> None:
    """Release the locks of every state: the commands that held them have ended with an earlier local AWS."""
    s3 = target.client("s3")
    try:
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    except s3.exceptions.NoSuchBucket:
        return
    for key in (item["Key"] for item in found if item["Key"].endswith(SUFFIX)):
        lock = held(target, bucket, key.removesuffix(SUFFIX))
        s3.delete_object(Bucket=bucket, Key=key)
        print(f"Released the lock of Terraform's state: {lock and lock.holder} held it when local AWS ended.")
