"""Print what a job of the delivery pipeline has to do on its stage.

The stage needs the version, runs it, runs a newer one, or rejects it. If the stage follows the newest version, the
artifact is compared with the version that it runs. Without --stage, the command prints whether the infrastructure of
this commit is needed or superseded. The command sets the outputs of the step: state (needed, done, superseded, or
rejected) and, with --stage, url.
"""

from __future__ import annotations

import argparse

from pathtolive import actions, config_file, stack, standing, target
from pathtolive.cli import CommandError, Parser, main


def _standing(options: argparse.Namespace) -> standing.Standing:
    if not options.stage:
        return standing.of_infrastructure()
    here = stack.use(target.from_environment())
    pin = here.config.stage(options.stage)
    actions.output("url", here.stage_url(options.stage))
    if pin.function_version == config_file.NEWEST:
        return standing.of_artifact(here, options.stage)
    if not options.version:
        raise CommandError(f"{options.stage} is pinned. Set VERSION to the version that the job brings to it")
    return standing.of_version(here, options.stage, options.version, options.routes, reason=options.reason)


def command() -> int:
    """Return 0 if the stage could be read."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", help="stage of the job (default: the infrastructure)")
    parser.variable("--version", "VERSION", metavar="NUMBER", help="version that the job brings to the stage")
    parser.variable("--routes", "ROUTES", default="", metavar="NAME", help="gateway deployment with its routes")
    parser.variable("--reason", "REASON", default="", help="reason to bring a version that was rolled back before")
    options = parser.parse_args()
    found = _standing(options)
    if found.state in {standing.SUPERSEDED, standing.REJECTED}:
        actions.notice(found.state.capitalize(), found.sentence)
        actions.summarize(found.sentence)
    else:
        print(found.sentence)
    actions.output("state", found.state)
    return 0


if __name__ == "__main__":
    main(command)
