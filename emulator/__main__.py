"""Serve embedded AWS until stopped: ``python -m emulator``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emulator import hooks, server


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 when stopped, 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=server.DEFAULT_PORT, help="port on 127.0.0.1 (%(default)s)")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIRECTORY",
        help="keep everything there over a restart (forgotten otherwise)",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="TIMES",
        help="how many of AWS's seconds pass in one: waits, metric periods, alarms (%(default)g)",
    )
    options = parser.parse_args(arguments)
    try:
        server.serve(options.port, options.state, options.speed)
    except (server.ServerError, hooks.HookError) as error:
        print(f"embedded AWS: {error}", file=sys.stderr)
        return 1
    return 0


def _speed(text: str) -> float:
    speed = float(text)
    if not 1 <= speed <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return speed


if __name__ == "__main__":
    sys.exit(main())
