"""Ports of this machine."""

from __future__ import annotations

import contextlib
import random
import socket

# The system chooses higher ports for programs that leave the choice to it, and may give one away at any time.
RANGE = range(20_000, 30_000)


def free(ports: range = RANGE) -> int:
    """Return a random port of a range that nothing listens on."""
    while True:
        port = random.choice(ports)  # noqa: S311 - no secret
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
