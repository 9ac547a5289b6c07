"""Send requests to a stage to verify that it answers."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from pathtolive import local_aws
from pathtolive.cli import CommandError

OK = 200
# A new stage takes a moment to answer on AWS.
PATIENCE_SECONDS = 30


def check(url: str, logs: str) -> None:
    """Verify that a stage answers with status 200; ``url`` ends in a slash, and ``logs`` prints its log.

    Raises:
        CommandError: it does not within PATIENCE_SECONDS.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (response := get(url))[0] != OK:
        if time.monotonic() > deadline:
            status, text = response
            if not status:
                raise CommandError(
                    f"{url} cannot be reached: {text}. If it is a custom domain, verify its DNS record and its "
                    "certificate: see docs/aws.md, A custom domain. Then run the command again."
                )
            raise CommandError(f"{url} returned status {status} instead of {OK}: {text}\nRead the log with: {logs}")
        time.sleep(0.5)


def build_info(url: str) -> dict[str, Any] | None:
    """Return the JSON of a stage's ``/build-info``, or None if the response is not JSON."""
    status, body = get(f"{url}build-info")
    try:
        content: dict[str, Any] | None = json.loads(body) if status == OK else None
    except ValueError:
        return None
    return content


def get(url: str) -> tuple[int, str]:
    """Return the status and the text of a response, or status 0 and the reason if there is none.

    Raises:
        EndedError: local AWS ended.
    """
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - the URL of a stage
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        local_aws.check(url, refused=True)
        return 0, str(error)
