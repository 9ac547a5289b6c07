"""The locks of Terraform's state that commands hold when local AWS ends."""

from __future__ import annotations

import json

from pathtolive import stack
from pathtolive.target import Target
from pathtolive.terraform_cli import ERRORED

# https://developer.hashicorp.com/terraform/language/backend/s3#state-locking
SUFFIX = ".tflock"
APPLY = "OperationTypeApply"


def release(target: Target) -> None:
    """Release the locks of an earlier local AWS that has just been started with its state: their commands have ended.

    If one was of an apply, and Terraform's state does not have all that it did, say what to do.
    """
    s3, bucket = target.client("s3"), stack.bucket_name(target)
    try:
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    except s3.exceptions.NoSuchBucket:
        return
    for key in (item["Key"] for item in found if item["Key"].endswith(SUFFIX)):
        lock = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        s3.delete_object(Bucket=bucket, Key=key)
        print(f"Released the lock of Terraform's state: {lock['Who']} held it when local AWS ended")
        if lock["Operation"] == APPLY and not (target.directory / ERRORED).exists():
            print(
                "Terraform could not save its state. If it fails because something exists already, start with nothing: "
                "make stop; make local"
            )
