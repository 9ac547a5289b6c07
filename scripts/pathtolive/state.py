"""The bucket with Terraform's state, which has an object for each workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import botocore.exceptions

from pathtolive import locking
from pathtolive.cli import CommandError
from pathtolive.target import NAME, Target

# As in terraform/terraform.tf.
KEY = "path-to-live.tfstate"


def bucket_name(target: Target) -> str:
    """Return the name of the state bucket: STATE_BUCKET, or a name for each account and region."""
    return os.environ.get("STATE_BUCKET") or f"{NAME}-state-{target.account}-{target.region}"


def _key(target: Target) -> str:
    return KEY if target.workspace == "default" else f"env:/{target.workspace}/{KEY}"


def outputs(target: Target) -> Mapping[str, Any] | None:
    """Return the outputs of the root module in the state of the target's workspace, or None if there is no state.

    https://developer.hashicorp.com/terraform/language/backend/s3
    """
    s3 = target.client("s3")
    try:
        content = json.loads(s3.get_object(Bucket=bucket_name(target), Key=_key(target))["Body"].read())
    except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket):
        return None
    return {name: output["value"] for name, output in content["outputs"].items()}


def lock(target: Target) -> locking.Lock | None:
    """Return the lock of the state of the target's workspace, or None if it is not locked."""
    return locking.held(target, bucket_name(target), _key(target))


def release_locks(target: Target) -> None:
    """Release the locks of the states of an earlier local AWS, which has just been started again with its state."""
    locking.release_all(target, bucket_name(target))


def has_bucket(target: Target) -> bool:
    """Return whether there is a state bucket.

    Raises:
        CommandError: it belongs to another account.
    """
    bucket = bucket_name(target)
    try:
        target.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=target.account)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise CommandError(
                f"The bucket {bucket} for Terraform's state cannot be used: {error}. Name another in STATE_BUCKET"
            ) from error
        return False
    return True


def missing_bucket(target: Target) -> str:
    """Return the message of an error because there is no state bucket."""
    if target.endpoint:
        return f"Nothing is deployed. Run: make build deploy{target.make_variables}"
    return (
        f"Account {target.account} has no bucket {bucket_name(target)} for Terraform's state. Create it with: "
        "make bootstrap\nOr name a bucket of your own in STATE_BUCKET"
    )


def create_bucket(target: Target) -> None:
    """Create the state bucket of an emulator."""
    bucket, s3 = bucket_name(target), target.client("s3")
    # S3 refuses us-east-1 as a location constraint.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    location = {} if target.region == "us-east-1" else {"LocationConstraint": target.region}
    s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": location} if location else {}))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def delete_bucket(target: Target) -> None:
    """Delete the state bucket of an emulator, unless a state in it still has resources."""
    s3 = target.client("s3")
    bucket = bucket_name(target)
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        if json.loads(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())["resources"]:
            return
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
    s3.delete_bucket(Bucket=bucket)


def verify_workspace(target: Target) -> None:
    """Verify that the target's workspace exists: Terraform would create it, even for a name with a typo.

    Raises:
        CommandError: it does not exist.
    """
    if target.workspace == "default":
        return
    try:
        target.client("s3").head_object(Bucket=bucket_name(target), Key=_key(target))
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        raise CommandError(
            f"The workspace {target.workspace} does not exist. To create it, with a copy of the service, run: "
            f"make build deploy WORKSPACE={target.workspace}{target.make_variables}"
        ) from error
