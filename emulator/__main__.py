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
    options = parser.parse_args(arguments)
    try:
        server.serve(options.port, options.state)
    except (server.ServerError, hooks.HookError) as error:
        print(f"embedded AWS: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
