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
    here = stack.use(target.from_environment())
    stage = options.stage
    here.config.stage(stage)
    if here.target.workspace != "default":
        raise CommandError(f"In workspace {here.target.workspace}, every stage follows newest. Nothing to record.")
    if stage not in here.outputs["stages"]:
        raise CommandError(f"{stage} is not deployed. Run: make build deploy{here.target.make_variables}")
    version = Engine(here, stage).active_version()
    if recording.recorded(here, stage, stages.active(here)[stage]):
        print(f"config.tf already records version {version} for {stage}")
        return 0
    recording.record(here, stage, version)
    print(f"Recorded version {version} for {stage} in config.tf")
    return 0


if __name__ == "__main__":
    main(command)
