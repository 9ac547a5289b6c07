"""Show what ``make deploy`` would change."""

from __future__ import annotations

import argparse

import stack
import target
from command import main


def command() -> int:
    """Return 0 where a plan could be made, with changes or without."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    stack.prepare(target.from_environment()).plan()
    return 0


if __name__ == "__main__":
    main(command)
