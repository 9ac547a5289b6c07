"""The lock of Terraform's state: who holds it, since when, and how to release it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime

from pathtolive.target import Target

# How long Terraform waits for another command to release the lock.
DEFAULT_TIMEOUT = "2m"
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
    return [f"-lock-timeout={os.environ.get('LOCK_TIMEOUT') or DEFAULT_TIMEOUT}"]


def held(target: Target, bucket: str, key: str) -> Lock | None:
    """Return the lock of a state, or None if it is not locked.

    https://developer.hashicorp.com/terraform/language/backend/s3#state-locking
    """
    s3 = target.client("s3")
    try:
        content = json.loads(s3.get_object(Bucket=bucket, Key=f"{key}.tflock")["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None
    # Terraform writes nanoseconds, which Python 3.11 reads, but does not keep.
    since = datetime.fromisoformat(content["Created"])
    return Lock(content["ID"], content["Who"], content["Operation"].removeprefix("OperationType").lower(), since)
