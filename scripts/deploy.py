"""Publish the artifact, move the stages that follow the newest version, and verify that every stage answers.

A pinned stage keeps its active version, even if config.tf has another pin, unless --stage names the stage.

The delivery pipeline deploys with --only-code, after it has changed the infrastructure in another job. The step then
gets the outputs version and routes, for the jobs of the next stages.
"""

from __future__ import annotations

from pathtolive import (
    actions,
    changed_stages,
    config_file,
    deployment,
    routes,
    stack,
    stages,
    status,
    target,
)
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if everything is deployed and answers."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", help="also move this stage to its pin in config.tf")
    parser.variable(
        *("--only-code", "ONLY_CODE"),
        action="store_true",
        help="refuse a plan that changes anything except code and the stages that follow the newest version",
    )
    options = parser.parse_args()
    here = stack.prepare(target.from_environment(), new_workspace=True)
    if options.stage:
        here.config.stage(options.stage)
    changed_stages.pin_renamed(here)
    deployment.deploy(here, {options.stage} - {None}, only_code=options.only_code)
    status.conclude(here)
    stages.report(here, stages.active(here))
    if options.only_code:
        actions.output("version", here.outputs["newest_version"])
        actions.output("routes", routes.deployment(here, config_file.NEWEST))
    return 0


if __name__ == "__main__":
    main(command)
