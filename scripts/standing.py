"""Print what a job of the delivery pipeline has to do on its stage: it needs the version, has it, or has a newer one.

Without --version, the stage follows the newest version, and the artifact is compared with the version that it runs.
The step gets the outputs state (needed, done, or superseded) and url.
"""

from __future__ import annotations

from pathtolive import github, stack, standing, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if the stage could be read."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="test", help="stage of the job")
    parser.variable("--version", "VERSION", metavar="NUMBER", help="version that the job brings to the stage")
    parser.variable("--routes", "ROUTES", default="", metavar="NAME", help="gateway deployment with its routes")
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    if options.version:
        found = standing.of_version(here, options.stage, options.version, options.routes)
    else:
        found = standing.of_artifact(here, options.stage)
    if found.state == standing.SUPERSEDED:
        github.notice("Superseded", found.sentence)
        github.summarize(found.sentence)
    else:
        print(found.sentence)
    github.output("state", found.state)
    github.output("url", here.stage_url(options.stage))
    return 0


if __name__ == "__main__":
    main(command)
