"""Install the packages of a lock file in requirements/ into the Python that runs this command."""

from __future__ import annotations

import argparse
import sys

from pathtolive.installation import install


def main() -> int:
    """Return 0 if the packages are installed, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Other options are passed on to pip install.")
    parser.add_argument("lock", help="name of the lock file: run, demo, load, dev, or lock")
    parser.add_argument("purpose", help="what the packages are for")
    options, pip = parser.parse_known_args()
    try:
        return 0 if install(options.lock, options.purpose, pip) else 1
    except KeyboardInterrupt:
        print("\nInterrupted. To install the packages, run the command again.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
