"""The target of a command: the AWS account of the environment, local AWS, or an endpoint that the user names."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

from pathtolive import local_aws
from pathtolive.cli import LOCAL, ROOT, CommandError
from pathtolive.toolchain import terraform

DEFAULT_REGION = "eu-west-2"
SOURCE = ROOT / "terraform"
# The default of the root module.
NAME = "path-to-live"
# What a user may set for the endpoint that AWS_ENDPOINT_URL names; local AWS needs none of it.
ENDPOINT_VARIABLES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_MAX_ATTEMPTS",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
}
# A refused connection, and one that was closed.
CONNECTION_ERRORS = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError)
LOOPBACK = "127.0.0.1,localhost,::1"


@dataclass(frozen=True)
class Target:
    """An AWS account, and the Terraform directory and artifact for it.

    ``endpoint`` is None for AWS itself. An emulator gets a copy of ``terraform/``: each account numbers its
    versions, so a pin is valid in one account only.
    """

    endpoint: str | None
    region: str

    @property
    def directory(self) -> Path:
        """The Terraform root module."""
        return LOCAL / "terraform" if self.endpoint else SOURCE

    @property
    def artifact(self) -> Path:
        """The zip that Terraform deploys."""
        return self.directory.parent / "dist" / "lambda.zip"

    @property
    def config_file(self) -> Path:
        """The file with the pins."""
        return self.directory / "config.tf"

    @property
    def lock_file(self) -> Path:
        """The file that a command locks while it uses the directory."""
        return LOCAL / ("local.lock" if self.endpoint else "aws.lock")

    @property
    def make_variables(self) -> str:
        """The variables of make that lead a command to this target."""
        return " TARGET=local" if self.endpoint else ""

    @property
    def description(self) -> str:
        """The account and region that commands act on, in words."""
        workspace = "" if self.workspace == "default" else f", workspace {self.workspace}"
        if self.endpoint:
            return f"the AWS endpoint {self.endpoint}, region {self.region}{workspace}"
        return f"AWS account {self.account}, region {self.region}{workspace}"

    @property
    def workspace(self) -> str:
        """Terraform's workspace: ``default``, or the name of a private copy of the stack."""
        return os.environ.get("WORKSPACE") or os.environ.get("TF_WORKSPACE") or "default"

    @functools.cached_property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that lead Terraform and boto3 to this account."""
        # Terraform reads AWS_REGION, boto3 AWS_DEFAULT_REGION.
        variables = {
            **os.environ,
            **terraform.environment(),
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "TF_VAR_region": self.region,
            "TF_WORKSPACE": self.workspace,
        }
        if self.endpoint:
            variables["AWS_ENDPOINT_URL"] = self.endpoint
            if "AWS_ACCESS_KEY_ID" not in variables:
                variables |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        return variables

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service; if local AWS has ended, its requests raise local_aws.EndedError."""
        client = self._session.client(
            service,
            endpoint_url=self.endpoint,
            config=botocore.config.Config(
                connect_timeout=10, retries={"mode": "standard"}, s3={"addressing_style": "path"}
            )
            if self.endpoint
            else None,
        )
        # https://docs.aws.amazon.com/boto3/latest/guide/events.html
        client.meta.events.register_first("needs-retry", self._notice_end)
        return client

    def _notice_end(self, caught_exception: Exception | None = None, **_: Any) -> None:
        """Raise local_aws.EndedError instead of sending a request again."""
        if self.endpoint and isinstance(caught_exception, CONNECTION_ERRORS):
            local_aws.check(self.endpoint, refused=True)

    @functools.cached_property
    def account(self) -> str:
        """The account's id.

        Raises:
            CommandError: there are no credentials, AWS refuses them, or nothing answers.
        """
        try:
            account: str = self.client("sts").get_caller_identity()["Account"]
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            remedy = (
                "Start it, or unset AWS_ENDPOINT_URL and run: make local"
                if self.endpoint
                else "Set credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, 'aws sso login'), or use TARGET=local"
            )
            raise CommandError(f"{self.endpoint or 'AWS'} cannot be reached: {error}\n{remedy}") from error
        return account

    def stage_url(self, api_id: str, stage: str, url: str) -> str:
        """Return the URL of a stage, with a slash at its end; ``url`` is its URL on AWS."""
        return f"{self.endpoint}/_aws/execute-api/{api_id}/{stage}/" if self.endpoint else url

    @functools.cached_property
    def _session(self) -> Any:
        if not self.endpoint:
            return boto3.session.Session(region_name=self.region)
        return boto3.session.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            self.environment.get("AWS_SESSION_TOKEN"),
            self.region,
        )


def from_environment() -> Target:
    """Return the target that TARGET and AWS's own variables name.

    Raises:
        CommandError: TARGET is neither ``aws`` nor ``local``, or local AWS is not running.
    """
    given = os.environ.get("AWS_ENDPOINT_URL")
    name = os.environ.get("TARGET") or ("local" if given else "aws")
    if name == "aws":
        return Target(None, _region())
    if name != "local":
        raise CommandError(f"TARGET={name} is unknown: use TARGET=local for local AWS, or TARGET=aws")
    ignore_aws_settings()
    endpoint = given or local_aws.url()
    if endpoint is None:
        raise local_aws.not_running()
    return Target(
        endpoint.rstrip("/"), os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    )


def ignore_aws_settings() -> None:
    """Remove the user's AWS settings from this process, and keep loopback addresses away from proxies.

    boto3, Terraform, urllib and local AWS itself each read the environment and the files in ``~/.aws``. A region, a
    profile or a proxy that is meant for AWS must not change what TARGET=local does. Only what belongs to the endpoint
    that AWS_ENDPOINT_URL names stays.
    https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
    """
    kept = ENDPOINT_VARIABLES if os.environ.get("AWS_ENDPOINT_URL") else set()
    for name in [name for name in os.environ if name.startswith("AWS_") and name not in kept]:
        del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    # Programs differ in which of the two they read.
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    if excluded != "*":
        excluded = ",".join(dict.fromkeys([*filter(None, (excluded or "").split(",")), *LOOPBACK.split(",")]))
    os.environ |= {"NO_PROXY": excluded, "no_proxy": excluded}


def _region() -> str:
    given = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    try:
        return given or boto3.session.Session().region_name or DEFAULT_REGION
    except botocore.exceptions.ProfileNotFound as error:
        raise CommandError(f"{error}. List the profiles with: aws configure list-profiles") from error
