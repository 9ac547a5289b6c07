"""Show what ``make deploy`` would change."""

from __future__ import annotations

import argparse

import recording
import stack
import target
from command import CommandError, main


def command() -> int:
    """Return 0 where a plan could be made, with changes or without."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    here = stack.prepare(target.from_environment())
    plan = here.plan()
    try:
        recording.refuse_to_undo(here, here.stages)
        recording.refuse_weights(here, plan)
    except CommandError as error:
        print(f"\n'make deploy' would refuse this: {error}")
    return 0


if __name__ == "__main__":
    main(command)
