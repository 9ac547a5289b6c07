"""Random identifiers: a request needs a dozen, and ``uuid4`` makes a system call for each."""

from __future__ import annotations

import base64
import random


def digits(number: int) -> str:
    """Return a number of random hexadecimal digits."""
    return f"{random.getrandbits(4 * number):0{number}x}"


def request_id() -> str:
    """Return the ID of a request to an HTTP API, such as ``JKJaXmPLvHcESHA=``."""
    return base64.b64encode(random.getrandbits(88).to_bytes(11)).decode()
