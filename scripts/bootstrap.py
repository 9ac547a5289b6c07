"""Prepare an AWS account: create Terraform's state bucket, the permissions boundary, and the roles of GitHub Actions.

Run this once per account, again after the first deployment, and again if the stages in config.tf or the
repository's name change. The command prints what to set in GitHub. If gh is installed, it offers to do that.
"""

from __future__ import annotations

import os

from pathtolive import target
from pathtolive.bootstrap import bootstrap
from pathtolive.cli import CommandError, Parser, main
from pathtolive.github import Given


def command() -> int:
    """Return 0 if the account is prepared."""
    parser = Parser(__doc__)
    parser.variable(
        "--github-repository",
        "GITHUB_REPOSITORY",
        metavar="OWNER/NAME",
        help="repository whose workflows deploy, as OWNER/NAME or, with GitHub's IDs, OWNER@ID/NAME@ID "
        "(default: that of the previous run)",
    )
    parser.variable(
        "--github-repository-owner-id",
        "GITHUB_REPOSITORY_OWNER_ID",
        metavar="ID",
        help="GitHub's ID of the owner (default: read by gh)",
    )
    parser.variable(
        "--github-repository-id",
        "GITHUB_REPOSITORY_ID",
        metavar="ID",
        help="GitHub's ID of the repository (default: read by gh)",
    )
    options = parser.parse_args()
    if os.environ.get("STATE_BUCKET"):
        raise CommandError("STATE_BUCKET names a bucket of your own, which this command does not create. Unset it.")
    given = Given(options.github_repository, options.github_repository_owner_id, options.github_repository_id)
    bootstrap(target.from_environment(), given)
    return 0


if __name__ == "__main__":
    main(command)
