"""Add what a reviewer of the delivery pipeline needs to the summary of the job, and print it.

Before a release: the commits between the active version and the new version. With --ended, after
it: the outcome, and the metrics that it analyzed.
"""

from __future__ import annotations

from pathtolive import actions, review, stack, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if the summary is written."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage of the release")
    parser.variable("--ended", "ENDED", action="store_true", help="summarize the last release of the stage")
    parser.variable("--version", "VERSION", metavar="NUMBER", help="with --ended: the version of that release")
    parser.variable("--revision", "REVISION", default="HEAD", help="commit of the new version (default: %(default)s)")
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    here.config.stage(options.stage)
    if options.ended:
        title, lines = review.outcome(here, options.stage, options.version)
    else:
        title, lines = review.commits(here, options.stage, options.revision)
    print("\n".join([title, *lines]))
    actions.summarize(title, lines)
    return 0


if __name__ == "__main__":
    main(command)
