"""Run local AWS in the foreground until SIGINT or SIGTERM stops it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emulator import hooks, server


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 when stopped, 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=server.DEFAULT_PORT, help="port on 127.0.0.1 (default: %(default)s)"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIRECTORY",
        help="keep the state in this directory (default: lose it when local AWS stops)",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="TIMES",
        help="how much faster than on AWS waits, metric periods, and alarm evaluations are (default: %(default)g)",
    )
    options = parser.parse_args(arguments)
    try:
        server.serve(options.port, options.state, options.speed)
    except (server.ServerError, hooks.HookError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _speed(text: str) -> float:
    speed = float(text)
    if not 1 <= speed <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1000")
    return speed


if __name__ == "__main__":
    sys.exit(main())
