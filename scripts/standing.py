"""Print what a job of the delivery pipeline has to do on its stage: it needs the version, has it, or has a newer one.

Without --version, the stage follows the newest version, and the artifact is compared with the version that it runs.
Without --stage, it is about the infrastructure. The step gets the outputs state (needed, done, or superseded) and url.
"""

from __future__ import annotations

import argparse

from pathtolive import actions, stack, standing, target
from pathtolive.cli import Parser, main


def _standing(options: argparse.Namespace) -> standing.Standing:
    if not options.stage:
        return standing.of_infrastructure()
    here = stack.use(target.from_environment())
    here.config.stage(options.stage)
    actions.output("url", here.stage_url(options.stage))
    if options.version:
        return standing.of_version(here, options.stage, options.version, options.routes)
    return standing.of_artifact(here, options.stage)


def command() -> int:
    """Return 0 if the stage could be read."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", help="stage of the job (default: the infrastructure)")
    parser.variable("--version", "VERSION", metavar="NUMBER", help="version that the job brings to the stage")
    parser.variable("--routes", "ROUTES", default="", metavar="NAME", help="gateway deployment with its routes")
    options = parser.parse_args()
    found = _standing(options)
    if found.state == standing.SUPERSEDED:
        actions.notice("Superseded", found.sentence)
        actions.summarize(found.sentence)
    else:
        print(found.sentence)
    actions.output("state", found.state)
    return 0


if __name__ == "__main__":
    main(command)
