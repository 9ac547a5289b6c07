"""Create what an AWS account needs once: the bucket for Terraform's state, and the role for deploys from GitHub."""

from __future__ import annotations

import os

from pathtolive import target
from pathtolive.bootstrap import Given, bootstrap
from pathtolive.cli import CommandError, Parser, main


def command() -> int:
    """Return 0 if everything exists."""
    parser = Parser(__doc__)
    parser.variable(
        "--github-repository",
        "GITHUB_REPOSITORY",
        metavar="OWNER/NAME",
        help="create a deploy role for its workflows; OWNER@ID/NAME@ID gives both ids, too "
        "(default: the repository of the last run)",
    )
    parser.variable(
        "--github-repository-owner-id",
        "GITHUB_REPOSITORY_OWNER_ID",
        metavar="ID",
        help="the owner's number at GitHub (default: ask gh)",
    )
    parser.variable(
        "--github-repository-id",
        "GITHUB_REPOSITORY_ID",
        metavar="ID",
        help="the repository's number at GitHub (default: ask gh)",
    )
    options = parser.parse_args()
    if os.environ.get("STATE_BUCKET"):
        raise CommandError("STATE_BUCKET names a bucket of your own, which bootstrap does not create. Unset it.")
    given = Given(options.github_repository, options.github_repository_owner_id, options.github_repository_id)
    bootstrap(target.from_environment(), given)
    return 0


if __name__ == "__main__":
    main(command)
