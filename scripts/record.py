"""Record the version and routes of a stage in config.tf, for instance after an older config.tf was put back."""

from __future__ import annotations

import argparse

from pathtolive import recording, stack, stages, target
from pathtolive.cli import CommandError, main


def command() -> int:
    """Return 0 if config.tf records the version and routes of the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True, help="which stage is recorded")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    configured = here.config.stage(options.stage)
    if here.target.workspace != "default":
        raise CommandError(f"Workspace {here.target.workspace} follows the newest in every stage: nothing to record")
    if options.stage not in here.outputs["stages"]:
        raise CommandError(f"{options.stage} is not deployed: run 'make build deploy{here.target.make_variables}'")
    running = stages.active(here).get(options.stage)
    if running is None:
        raise CommandError(f"{options.stage} has no alias: run 'make deploy{here.target.make_variables}' to create it")
    stages.refuse_weights(here, options.stage, running)
    pin = stages.recordable(configured, running)
    if pin == configured:
        print(f"config.tf already records what {options.stage} runs: version {running.version}")
        return 0
    recording.record(here, options.stage, pin)
    print(f"Recorded in config.tf: {options.stage} runs version {running.version}")
    return 0


if __name__ == "__main__":
    main(command)
