"""Ask a stage what anyone may ask it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from pathtolive.cli import CommandError

OK = 200
# A stage that was just made takes a moment to answer on AWS.
PATIENCE_SECONDS = 30


def check(url: str) -> None:
    """See that a stage answers; ``url`` ends in a slash. What it says is the service's to choose.

    Raises:
        CommandError: it does not within PATIENCE_SECONDS.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := get(url))[0] != OK:
        if time.monotonic() > deadline:
            raise CommandError(f"{url} answers {answer}, not {OK}: see the logs of the function")
        time.sleep(0.5)


def build_info(url: str) -> dict[str, Any] | None:
    """Return what a stage's ``/build-info`` says, or None where it says nothing in JSON."""
    status, body = get(f"{url}build-info")
    try:
        content: dict[str, Any] | None = json.loads(body) if status == OK else None
    except ValueError:
        return None
    return content


def get(url: str) -> tuple[int, str]:
    """Return status and text of an answer; status 0 and the reason where there was none."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - an address of our own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
