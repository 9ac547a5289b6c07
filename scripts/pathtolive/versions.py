"""Publish the artifact if an interrupted deploy did not: only versions can be promoted.

Terraform updates the function and publishes a version in two calls. If it is interrupted before the second, its state
has both, and no later apply publishes the version.
https://github.com/hashicorp/terraform-provider-aws/issues/49904
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import botocore.exceptions

from pathtolive import stack
from pathtolive.cli import CommandError

# The parts of a configuration that a version freezes and that modules/function sets or could set.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
FROZEN = (
    *("Architectures", "CodeSha256", "DeadLetterConfig", "Environment", "EphemeralStorage", "FileSystemConfigs"),
    *("Handler", "KMSKeyArn", "Layers", "LoggingConfig", "MemorySize", "Role", "Runtime", "Timeout", "TracingConfig"),
    "VpcConfig",
)
LATEST = "$LATEST"


def unpublished(here: stack.Stack) -> str | None:
    """Return what the newest version lacks, as a clause, or None if it is the artifact and the function as they are."""
    latest, newest = _latest_and_newest(here)
    if newest is None:
        return "the function has no version"
    if newest["CodeSha256"] != _sha256(here):
        return f"version {newest['Version']}, the newest, does not have the code of the artifact"
    if different := [name for name in FROZEN if latest.get(name) != newest.get(name)]:
        return f"version {newest['Version']}, the newest, differs from the function in {', '.join(different)}"
    return None


def refuse_other_code(here: stack.Stack, version: str) -> None:
    """Refuse a version that was published from another artifact.

    Raises:
        CommandError: its code differs from that of the artifact.
    """
    function = here.target.client("lambda").get_function_configuration(
        FunctionName=here.outputs["function_name"], Qualifier=version
    )
    if function["CodeSha256"] != _sha256(here):
        raise CommandError(
            f"Version {version} was published from another artifact: its CodeSha256 is {function['CodeSha256']}, and "
            f"that of {here.target.artifact} is {_sha256(here)}. Build the artifact of its commit, or name another "
            "version."
        )


def publish(here: stack.Stack) -> str:
    """Publish the artifact with the function's configuration, and return the number of the version.

    Lambda publishes none if nothing has changed since the last one, so that it is safe to ask twice.
    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html

    Raises:
        CommandError: Lambda refuses it, or the newest version still does not have the code of the artifact.
    """
    functions, name = here.target.client("lambda"), here.outputs["function_name"]
    latest, _ = _latest_and_newest(here)
    try:
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)
        if latest["CodeSha256"] == _sha256(here):
            published = functions.publish_version(FunctionName=name, CodeSha256=_sha256(here))
        else:
            published = functions.update_function_code(
                FunctionName=name, ZipFile=here.target.artifact.read_bytes(), Publish=True
            )
        functions.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=published["Version"])
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise CommandError(f"The artifact could not be published as a version of {name}: {error}") from error
    if missing := unpublished(here):
        raise CommandError(
            f"The artifact was not published: {missing}. Run again: make build deploy{here.target.make_variables}"
        )
    version: str = published["Version"]
    return version


def _latest_and_newest(here: stack.Stack) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """Return the configuration of the function, and that of its newest version."""
    pages = here.target.client("lambda").get_paginator("list_versions_by_function")
    found = {
        version["Version"]: version
        for page in pages.paginate(FunctionName=here.outputs["function_name"])
        for version in page["Versions"]
    }
    numbers = [int(version) for version in found if version != LATEST]
    return found[LATEST], found[str(max(numbers))] if numbers else None


def _sha256(here: stack.Stack) -> str:
    return base64.b64encode(hashlib.sha256(here.target.artifact.read_bytes()).digest()).decode()
