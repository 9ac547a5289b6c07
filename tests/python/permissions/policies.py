"""The roles of an account, as IAM has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.python.permissions.authorization import Request
from tests.terraform import iam


@dataclass(frozen=True)
class Role:
    """A role: its policies by name, its permissions boundary if it has one, and its trust policy."""

    name: str
    documents: dict[str, dict[str, Any]]
    boundary: dict[str, Any] | None
    trust: dict[str, Any]

    def allows(self, request: Request) -> bool:
        """Return whether the policies and the boundary allow a request."""
        everything = {"Statement": [each for document in self.documents.values() for each in iam.statements(document)]}
        return iam.allows(
            everything, request.action, resource=request.resource, context=request.context, boundary=self.boundary
        )

    def statements(self, request: Request) -> set[tuple[str, str]]:
        """Return the statements that allow a request, each with the name of its policy."""
        return {
            (name, statement["Sid"])
            for name, document in self.documents.items()
            for statement in iam.statements(document)
            if iam.allows(
                {"Statement": [statement]}, request.action, resource=request.resource, context=request.context
            )
        }

    def granted(self) -> set[tuple[str, str, str]]:
        """Return the policy, the statement, and the name of each action that is allowed for some resource."""
        return {
            (name, statement["Sid"], action)
            for name, document in self.documents.items()
            for statement in iam.statements(document)
            for action in iam.actions({"Statement": [statement]})
        }


def read(client: Any, name: str) -> Role:
    """Return a role from IAM."""
    found = client.get_role(RoleName=name)["Role"]
    attached = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    inline = client.list_role_policies(RoleName=name)["PolicyNames"]
    documents = {policy["PolicyName"]: _managed(client, policy["PolicyArn"]) for policy in attached}
    for policy in inline:
        documents[policy] = client.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    boundary = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    trust = found["AssumeRolePolicyDocument"]
    return Role(name, documents, _managed(client, boundary) if boundary else None, trust)


def _managed(client: Any, arn: str) -> Any:
    version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return client.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
