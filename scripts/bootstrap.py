"""Make what an AWS account needs once: the bucket of Terraform's state, and the role that GitHub deploys with."""

from __future__ import annotations

import argparse
import os

from pathtolive import target
from pathtolive.bootstrap import Given, bootstrap
from pathtolive.cli import CommandError, main


def command() -> int:
    """Return 0 where everything is there."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Each option defaults to the environment variable of its name, such as GITHUB_REPOSITORY.",
    )
    parser.add_argument(
        "--github-repository",
        metavar="OWNER/NAME",
        default=os.environ.get("GITHUB_REPOSITORY"),
        help="create a deploy role for its workflows; OWNER@ID/NAME@ID gives both ids, too "
        "(default: the repository of the last run)",
    )
    parser.add_argument(
        "--github-repository-owner-id",
        metavar="ID",
        default=os.environ.get("GITHUB_REPOSITORY_OWNER_ID"),
        help="the owner's number at GitHub (default: ask gh)",
    )
    parser.add_argument(
        "--github-repository-id",
        metavar="ID",
        default=os.environ.get("GITHUB_REPOSITORY_ID"),
        help="the repository's number at GitHub (default: ask gh)",
    )
    options = parser.parse_args()
    if os.environ.get("STATE_BUCKET"):
        raise CommandError("STATE_BUCKET names a bucket of your own, which this would not make: unset it")
    given = Given(options.github_repository, options.github_repository_owner_id, options.github_repository_id)
    bootstrap(target.from_environment(), given)
    return 0


if __name__ == "__main__":
    main(command)
