"""Make a stage run what another one runs: the same version, and the routes that it serves."""

from __future__ import annotations

import argparse

from pathtolive import deployment, promotion, stack, status, target
from pathtolive.cli import main


def command() -> int:
    """Return 0 where the stage runs what the other one runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", required=True, dest="source", metavar="STAGE", help="the stage that runs it")
    parser.add_argument("--to", required=True, dest="destination", metavar="STAGE", help="the stage to promote to")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    deployment.pin(here)
    promotion.promote(here, options.source, options.destination)
    status.show(here, urls=False)
    return 0


if __name__ == "__main__":
    main(command)
