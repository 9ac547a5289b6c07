"""Record the active version and the routes of a stage in config.tf, for example if config.tf is outdated."""

from __future__ import annotations

from pathtolive import recording, stack, stages, target
from pathtolive.cli import CommandError, Parser, main
from pathtolive.release.engine import Engine


def command() -> int:
    """Return 0 if config.tf records the stage."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to record")
    options = parser.parse_args()
    here = stack.prepare(target.from_environment())
    configured = here.config.stage(options.stage)
    if here.target.workspace != "default":
        raise CommandError(f"In workspace {here.target.workspace}, every stage follows newest. Nothing to record.")
    if options.stage not in here.outputs["stages"]:
        raise CommandError(f"{options.stage} is not deployed. Run: make build deploy{here.target.make_variables}")
    running = stages.active(here).get(options.stage)
    if running is None:
        raise CommandError(f"{options.stage} has no alias. Create it with: make deploy{here.target.make_variables}")
    Engine(here).refuse_weights(options.stage, running.weights)
    pin = stages.recordable(configured, running)
    if pin == configured:
        print(f"config.tf already records version {running.version} for {options.stage}")
        return 0
    recording.record(here, options.stage, pin)
    print(f"Recorded version {running.version} for {options.stage} in config.tf")
    return 0


if __name__ == "__main__":
    main(command)
