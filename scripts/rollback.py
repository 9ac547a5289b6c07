"""Bring a stage back to what it ran before: at once, or by ending the release of it that is under way."""

from __future__ import annotations

import argparse

from pathtolive import deployment, stack, status, target
from pathtolive.cli import main
from pathtolive.release.rollback import rollback


def command() -> int:
    """Return 0 where all traffic is back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True, help="which stage goes back")
    parser.add_argument("--version", metavar="NUMBER", help="to which version (the one that it ran before)")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    deployment.pin(here)
    rollback(here, options.stage, options.version)
    status.show(here, urls=False)
    return 0


if __name__ == "__main__":
    main(command)
