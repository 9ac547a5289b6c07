"""Attacks on the roles of GitHub Actions: requests and tokens, by what an attacker wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.conftest import REGION
from tests.terraform import iam

ACCOUNT = "000000000000"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
REPOSITORY = {"owner": "octocat", "owner_id": "583231", "name": "hello", "id": "1296269"}
STAGES = ("dev", "test", "live")
ROLES = ("plan", "infrastructure", "deploy-dev", "deploy-test", "deploy-live")

BUCKET = f"arn:aws:s3:::path-to-live-state-{ACCOUNT}-{REGION}"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:path-to-live"
APIS = f"arn:aws:apigateway:{REGION}::/apis"
API_TAGS = f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Fapis%2F"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
API_SERVICE_ROLE = f"{ROLE}/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:path-to-live-live-release"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:path-to-live-live-release:live-release-2"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/path-to-live-live-rollback"
ALARMS = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
DASHBOARD = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/path-to-live"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:path-to-live-alerts"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
LOG_GROUPS = [
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
    for name in (
        "/aws/lambda/path-to-live",
        "/aws/vendedlogs/states/path-to-live-live-release",
        "/aws/apigateway/path-to-live/live",
    )
]

PARAMETERS = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/releases"

NEW_TAGS = {"aws:RequestTag/Service": "path-to-live"}
OWN = {"aws:ResourceTag/Service": "path-to-live"}
OTHER = {"aws:ResourceTag/Service": "other"}
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/path-to-live-boundary"
BOUNDED = {"iam:PermissionsBoundary": BOUNDARY}
UNBOUNDED = {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
SERVICE_ROLES = [f"{ROLE}/path-to-live{suffix}" for suffix in ("", "-live-release", "-live-rollback")]

Requests = list[tuple[list[str], list[str], dict[str, str]]]

# What no role can do, by what an attacker wants.
ATTACKS: Mapping[str, Requests] = {
    "Move test or live without its state machine, or call it": [
        (["lambda:UpdateAlias"], [FUNCTION, f"{FUNCTION}:test", f"{FUNCTION}:live"], {}),
        (["lambda:InvokeFunction"], [FUNCTION, f"{FUNCTION}:live"], {}),
    ],
    "Delete the service, its state, or its logs": [
        (["lambda:DeleteFunction"], [FUNCTION, f"{FUNCTION}:live"], {}),
        (["apigateway:DELETE"], [f"{APIS}/a1b2c3"], OWN),
        (["s3:DeleteObject"], [f"{BUCKET}/path-to-live.tfstate"], {}),
        (["logs:DeleteLogGroup"], [f"{LOG_GROUPS[0]}:log-stream:"], {}),
    ],
    "Read or change the state of the bootstrap, or the bucket": [
        (["s3:GetObject", "s3:PutObject"], [f"{BUCKET}/bootstrap.tfstate"], {}),
        (["s3:PutBucketPolicy"], [BUCKET], {}),
    ],
    "Change another API, or create one under another name": [
        (
            ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST"],
            [f"{APIS}/z9y8x7{part}" for part in ("", "/deployments/1", "/deployments", "/routes/1", "/stages/live")],
            OTHER,
        ),
        (
            ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:TagResource"],
            [f"{APIS}/z9y8x7", f"{APIS}/z9y8x7/stages/dev"],
            {},
        ),
        (["apigateway:POST"], [APIS], {"aws:RequestTag/Service": "other"}),
    ],
    "Give another API the service's tag, to change it then": [
        (["apigateway:TagResource", "apigateway:UntagResource"], [f"{APIS}/z9y8x7"], NEW_TAGS | OTHER),
        (["apigateway:POST", "apigateway:PUT"], [f"{API_TAGS}z9y8x7", f"{API_TAGS}a1b2c34"], {}),
    ],
    "Use or take over a key: another one, or the service's by its tag or policy": [
        (["kms:CreateKey", "kms:TagResource"], [KEY], NEW_TAGS),
        (["kms:DescribeKey"], [KEY], OTHER),
        (
            [
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:PutKeyPolicy",
                "kms:ScheduleKeyDeletion",
                "kms:UntagResource",
            ],
            [KEY],
            OWN,
        ),
    ],
    "Give a role of the service rights without its permissions boundary": [
        (
            ["iam:CreateRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:DeleteRolePolicy"],
            SERVICE_ROLES,
            {},
        ),
        (
            ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"],
            SERVICE_ROLES,
            UNBOUNDED,
        ),
        (["iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy"], SERVICE_ROLES, BOUNDED),
    ],
    "Change the permissions boundary, or another policy": [
        (["iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicyVersion"], [BOUNDARY], {}),
        (["iam:CreatePolicyVersion"], [f"arn:aws:iam::{ACCOUNT}:policy/path-to-live-read"], {}),
        (["iam:CreatePolicy"], [f"arn:aws:iam::{ACCOUNT}:policy/path-to-live-other"], {}),
    ],
    "Change the trust or the permissions of its own role, or of another one": [
        (
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
                "iam:UpdateAssumeRolePolicy",
                "iam:PassRole",
            ],
            [
                *(f"{ROLE}/path-to-live-{role}" for role in ROLES),
                f"{ROLE}/admin",
                f"{ROLE}/path-to-live-deploy-x-release",
            ],
            BOUNDED | {"iam:PassedToService": "lambda.amazonaws.com"},
        ),
        (["iam:DeleteRole"], [SERVICE_ROLES[0]], BOUNDED),
    ],
    "Assume another role, or get credentials that stay": [
        (["sts:AssumeRole"], [*(f"{ROLE}/path-to-live-{role}" for role in ROLES), *SERVICE_ROLES], {}),
        (["iam:CreateAccessKey", "iam:CreateUser"], [f"arn:aws:iam::{ACCOUNT}:user/mallory"], {}),
    ],
    "Change the identity provider that the roles trust, or add one": [
        (
            [
                "iam:AddClientIDToOpenIDConnectProvider",
                "iam:CreateOpenIDConnectProvider",
                "iam:DeleteOpenIDConnectProvider",
                "iam:UpdateOpenIDConnectProviderThumbprint",
            ],
            [PROVIDER, f"arn:aws:iam::{ACCOUNT}:oidc-provider/example.com"],
            {},
        ),
    ],
    "Pass a role of the service to another service": [
        (["iam:PassRole"], [SERVICE_ROLES[0]], {"iam:PassedToService": "ec2.amazonaws.com"}),
        (["iam:PassRole"], SERVICE_ROLES, {}),
        (["iam:PassRole"], [SERVICE_ROLES[1]], {"iam:PassedToService": "events.amazonaws.com"}),
        (["iam:CreateServiceLinkedRole"], [API_SERVICE_ROLE], {"iam:AWSServiceName": "ecs.amazonaws.com"}),
        (["iam:CreateServiceLinkedRole"], [f"{ROLE}/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"], {}),
    ],
    "Change or read another service of the account": [
        (["lambda:UpdateAlias"], [f"{FUNCTION}-other:dev"], {}),
        (["lambda:GetFunction", "lambda:UpdateFunctionCode"], [f"{FUNCTION}-other"], {}),
        (["states:DeleteStateMachine", "states:StartExecution"], [MACHINE.replace("path-to-live", "other")], {}),
        (["cloudwatch:PutMetricAlarm"], [f"{ALARMS}:other"], {}),
        (["ssm:GetParameter", "ssm:PutParameter"], [f"{PARAMETERS}/other/live/control"], {}),
        (["s3:GetObject"], ["arn:aws:s3:::other/key"], {}),
        (["logs:CreateLogGroup"], [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/other:log-stream:"], {}),
    ],
}


def on_other_stages(role: str) -> Requests:
    """Return what the role of a stage cannot do: move another stage, steer its releases, or forget its rollbacks."""
    return [
        request
        for stage in STAGES
        if role != f"deploy-{stage}"
        for request in (
            (["lambda:UpdateAlias"], [f"{FUNCTION}:{stage}"], {}),
            (["states:StartExecution"], [MACHINE.replace("live-live", f"live-{stage}")], {}),
            (["states:StopExecution"], [EXECUTION.replace("live-live", f"live-{stage}")], {}),
            (
                ["ssm:PutParameter"],
                [f"{PARAMETERS}/path-to-live/{stage}/{name}" for name in ("control", "rejected")],
                {},
            ),
            (["apigateway:PATCH"], [f"{APIS}/a1b2c3/stages/{stage}"], OWN),
        )
    ]


def expanded(requests: Requests) -> Iterator[tuple[str, str, dict[str, str]]]:
    for actions, resources, context in requests:
        for action in actions:
            for resource in resources:
                yield action, resource, context


def token(*, immutable: bool, **claims: str) -> dict[str, str]:
    """Return the claims of a job's token: by default, a job on the repository's main branch in the environment live.

    Claims, and the format of ``sub``: https://docs.github.com/en/actions/reference/security/oidc
    Example: https://docs.github.com/en/actions/concepts/security/openid-connect
    """
    found = {
        "actor": "octocat",
        "actor_id": "583231",
        "aud": "sts.amazonaws.com",
        "base_ref": "",
        "environment": "live",
        "event_name": "push",
        "head_ref": "",
        "iss": "https://token.actions.githubusercontent.com",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "repository": "octocat/hello",
        "repository_id": REPOSITORY["id"],
        "repository_owner": "octocat",
        "repository_owner_id": REPOSITORY["owner_id"],
        "repository_visibility": "private",
        "run_attempt": "1",
        "run_id": "9876543210",
        "run_number": "12",
        "runner_environment": "github-hosted",
        "workflow": "Delivery pipeline",
    } | claims
    found["job_workflow_ref"] = f"{found['repository']}/.github/workflows/path.yml@{found['ref']}"
    owner, name = found["repository"].split("/")
    if immutable:
        owner, name = f"{owner}@{found['repository_owner_id']}", f"{name}@{found['repository_id']}"
    if found["environment"]:
        job = f"environment:{found['environment']}"
    else:
        del found["environment"]
        job = "pull_request" if found["event_name"] == "pull_request" else f"ref:{found['ref']}"
    return {"sub": f"repo:{owner}/{name}:{job}"} | found


# On a pull request from a branch of the repository. GitHub gives jobs of forks no token:
# https://docs.github.com/en/actions/reference/security/securely-using-pull_request_target
PULL_REQUEST = {"event_name": "pull_request", "ref": "refs/pull/7/merge", "head_ref": "feature", "base_ref": "main"}
FORK = {
    "repository": "mallory/hello",
    "repository_owner": "mallory",
    "repository_owner_id": "3",
    "repository_id": "4",
}

# Jobs in an environment that has a role.
ON_ANOTHER_BRANCH: Mapping[str, dict[str, str]] = {
    "another branch": {"ref": "refs/heads/feature"},
    "a branch whose name begins with main": {"ref": "refs/heads/main2"},
    "a tag called main": {"ref": "refs/tags/main", "ref_type": "tag"},
    "a pull request in the environment of a stage": PULL_REQUEST,
}
ELSEWHERE: Mapping[str, dict[str, str]] = {
    "another environment": {"environment": "prod"},
    "an environment in capitals": {"environment": "LIVE"},
    "no environment": {"environment": ""},
    "the default audience": {"aud": "https://github.com/octocat"},
    "another repository": {"repository": "octocat/other", "repository_id": "2"},
    "the repository under another name": {"repository": "octocat/other"},
    "the name with .git": {"repository": "octocat/hello.git"},
    "the name in other case": {"repository": "Octocat/Hello"},
    "a fork": FORK,
    "a pull request in a fork": {"environment": "", **PULL_REQUEST, **FORK},
    "a pull request in a repository with the same name": {
        "environment": "",
        **PULL_REQUEST,
        "repository_id": FORK["repository_id"],
    },
    "a new repository under the name of one that was renamed": {"repository_id": "5"},
    "a new owner under an abandoned name": {"repository_owner_id": "6", "repository_id": "7"},
}


def may_assume(trust: iam.Document, claims: Mapping[str, str], provider: str = PROVIDER) -> bool:
    """Return whether a role with a trust policy may be assumed by a job with a token."""
    context = {f"token.actions.githubusercontent.com:{claim}": value for claim, value in claims.items()}
    return iam.allows(trust, "sts:AssumeRoleWithWebIdentity", principal=provider, context=context)
