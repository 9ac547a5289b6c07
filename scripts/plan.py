"""Print what 'make deploy' would change."""

from __future__ import annotations

from pathtolive import changed_stages, recording, stack, stages, target, versions
from pathtolive.cli import CommandError, Parser, main


def command() -> int:
    """Return 0 if there is a plan, with changes or without."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", help="also move this stage to its pin in config.tf")
    options = parser.parse_args()
    here = stack.inspect(target.from_environment())
    here.initialize()
    if options.stage:
        here.config.stage(options.stage)
    found = stages.active(here)
    renamed = changed_stages.announce(here)
    plan = here.plan(stages.kept(here, found, moved={options.stage} - {None}) | renamed)
    if plan.changes:
        print(here.shown(plan))
    try:
        recording.refuse_moves(here, plan, found)
    except CommandError as error:
        print(f"\n'make deploy' would refuse this: {error}")
    if not plan.changes and here.deployed and (missing := versions.unpublished(here)):
        print(f"\nAn earlier deploy was interrupted: {missing}. 'make deploy' publishes the artifact.")
    stages.report(here, found)
    return 0


if __name__ == "__main__":
    main(command)
