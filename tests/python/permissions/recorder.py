"""A record of what IAM decides on, while jobs and releases run: each request with its role and the command."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.conftest import REGION
from tests.python.permissions import authorization, calls, policies
from tests.python.permissions.authorization import APIS, Account, Request
from tests.python.pipeline.runner import GitHub

# The roles that `make bootstrap` creates. Those of the service are created with its stages.
BOOTSTRAPPED = ("plan", "infrastructure", "deploy-dev", "deploy-test", "deploy-live")


@dataclass(frozen=True)
class Use:
    """A request of a role: its policies then, and the command that sent it."""

    role: policies.Role
    command: str
    request: Request


def command(step: str) -> str:
    """Return the command of a step without its variables: ``make deploy`` of ``make build deploy STAGE=dev``."""
    words = [word for word in step.split() if "=" not in word]
    return f"{words[0]} {words[-1]}" if words[0] == "make" else step


class Recorder:
    """Observes a proxy, and keeps what the sessions of jobs request."""

    def __init__(self) -> None:
        # Each once.
        self.uses: dict[Hashable, Use] = {}
        self.problems: list[str] = []
        self.boundaries: dict[str, str | None] = {}
        self.roles: dict[str, policies.Role] = {}
        # Whether the roles know the ID of the API. Until then, they know its parts by the tags of the API: docs/aws.md.
        self.known = False

    def begin(self, github: GitHub, endpoint: str) -> None:
        """Observe the jobs of a repository. What their requests do not contain is read from the account."""
        self.github = github
        # A client can be used by several threads, but not created.
        names = ("apigatewayv2", "iam", "kms", "sns", "stepfunctions")
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.clients: dict[str, Any] = {
            name: boto3.client(name, endpoint_url=endpoint, region_name=REGION, **keys)  # type: ignore[call-overload]
            for name in names
        }
        self.account = Account(
            {
                "api tags": self._api_tags,
                "boundary": self._boundary,
                "key": self._key,
                "key tags": self._key_tags,
                "known": lambda _: self.known,
                "topic key": self._topic_key,
            }
        )

    def read_roles(self) -> None:
        """Read the policies of the roles, after they were created or changed."""
        self.roles = {
            f"path-to-live-{name}": policies.read(self.clients["iam"], f"path-to-live-{name}") for name in BOOTSTRAPPED
        }

    def observe(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the requests of a call before AWS gets it. A problem does not fail the call: a test shows it."""
        key = calls.key(headers)
        if not hasattr(self, "github") or key not in self.github.sessions:
            return
        job = self.github.sessions[key]
        try:
            call = calls.read(method, target, headers, body)
            self._keep(self.roles[job.role], command(job.doing), authorization.requests(call, self.account))
        except Exception as error:  # noqa: BLE001 - any of them is a problem
            self.problems.append(f"{job.role} {method} {target}: {error!r}")

    def _keep(self, role: policies.Role, command: str, requests: Iterable[Request]) -> None:
        for request in requests:
            context = tuple(sorted(request.context.items()))
            self.uses[id(role), command, request.action, request.resource, context] = Use(role, command, request)

    def read_executions(self) -> None:
        """Keep what the state machines have requested, from the histories of their executions."""
        states, iam = self.clients["stepfunctions"], self.clients["iam"]
        self.roles["path-to-live"] = policies.read(iam, "path-to-live")
        for machine in states.list_state_machines()["stateMachines"]:
            name = machine["name"]
            role = self.roles[name] = policies.read(iam, name)
            name = name.replace("-release", "-rollback")
            rollback = self.roles[name] = policies.read(iam, name)
            for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
                arn = execution["executionArn"]
                if json.loads(states.describe_execution(executionArn=arn)["input"]).get("rolls_back"):
                    start = Request("states:StartExecution", machine["stateMachineArn"])
                    self._keep(rollback, "the rule", [start])
                for call in _tasks(states, arn):
                    self._keep(role, "releases", authorization.requests(call, self.account))

    def _api_tags(self, path: str) -> Mapping[str, str]:
        """Return the tags of an API, or of a stage. Another part has those of its API."""
        found = re.match(r"/apis/\w+(/stages/\w+)?", path)
        try:
            tags: Mapping[str, str] = (
                self.clients["apigatewayv2"].get_tags(ResourceArn=f"{APIS}{found[0]}")["Tags"] if found else {}
            )
        except ClientError:
            return {}
        return tags

    def _boundary(self, role: str) -> str | None:
        """Return the boundary of a role, or its last one: a client repeats a request whose response was lost."""
        with contextlib.suppress(ClientError):
            found = self.clients["iam"].get_role(RoleName=role)["Role"]
            self.boundaries[role] = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return self.boundaries.get(role)

    def _topic_key(self, topic: str) -> str:
        attributes: dict[str, str] = self.clients["sns"].get_topic_attributes(TopicArn=topic)["Attributes"]
        return attributes["KmsMasterKeyId"]

    def _key(self, alias: str) -> str | None:
        try:
            found: str = self.clients["kms"].describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
        except ClientError:
            return None
        return found

    def _key_tags(self, key: str) -> Mapping[str, str]:
        tags = self.clients["kms"].list_resource_tags(KeyId=key)["Tags"]
        return {tag["TagKey"]: tag["TagValue"] for tag in tags}


def _tasks(states: Any, execution: str) -> Iterator[calls.Call]:
    """Yield the calls in the history of an execution.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_TaskScheduledEventDetails.html
    """
    for page in states.get_paginator("get_execution_history").paginate(executionArn=execution):
        for event in page["events"]:
            if details := event.get("taskScheduledEventDetails"):
                service = details["resourceType"].removeprefix("aws-sdk:")
                operation = details["resource"][0].upper() + details["resource"][1:]
                service = {"sfn": "stepfunctions"}.get(service, service)
                yield calls.Call(service, operation, json.loads(details["parameters"]), "", "")
