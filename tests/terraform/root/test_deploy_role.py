"""The permissions and the trust policy of the deploy role for GitHub Actions, evaluated as IAM evaluates them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import REGION
from tests.terraform import iam
from tests.terraform.support import SOURCE, Configuration, Provider, copy

ACCOUNT = "000000000000"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
REPOSITORY = {"owner": "octocat", "owner_id": "583231", "name": "hello", "id": "1296269"}

BUCKET = f"arn:aws:s3:::path-to-live-state-{ACCOUNT}-{REGION}"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:path-to-live"
APIS = f"arn:aws:apigateway:{REGION}::/apis"
API_TAGS = f"arn:aws:apigateway:{REGION}::/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Fapis%2Fa1b2c3"
ROLES = f"arn:aws:iam::{ACCOUNT}:role"
API_SERVICE_ROLE = f"{ROLES}/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:path-to-live-live-release"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:path-to-live-live-release:live-release-2"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/path-to-live-live-rollback"
ALARMS = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
DASHBOARD = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/path-to-live"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:path-to-live-alerts"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
KEY_ALIAS = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/path-to-live-alerts"
LOG_GROUPS = [
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
    for name in (
        "/aws/lambda/path-to-live",
        "/aws/vendedlogs/states/path-to-live-live-release",
        "/aws/apigateway/path-to-live/live",
    )
]

PARAMETERS = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/releases"

NEW_KEY = {"aws:RequestTag/Service": "path-to-live"}
OWN_KEY = {"aws:ResourceTag/Service": "path-to-live"}

# Each action with every resource that AWS authorizes it against, from the service authorization reference. If the
# reference has nothing or is wrong, the entry has the address of another source.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
REQUESTS: list[tuple[list[str], list[str], dict[str, str]]] = [
    (["s3:ListBucket"], [BUCKET], {}),
    (["s3:GetObject", "s3:PutObject"], [f"{BUCKET}/path-to-live.tfstate", f"{BUCKET}/path-to-live.tfstate.tflock"], {}),
    (["s3:DeleteObject"], [f"{BUCKET}/path-to-live.tfstate.tflock"], {}),
    (
        [
            "lambda:CreateFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:ListTags",
            "lambda:ListVersionsByFunction",
            "lambda:PublishVersion",
            "lambda:TagResource",
            "lambda:UntagResource",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
        ],
        [FUNCTION],
        {},
    ),
    # With a qualifier, AWS's guide names the ARN of the alias or the version, the reference that of the function.
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    (["lambda:GetFunction", "lambda:GetFunctionConfiguration"], [FUNCTION, f"{FUNCTION}:7"], {}),
    (
        [
            "lambda:AddPermission",
            "lambda:CreateAlias",
            "lambda:DeleteAlias",
            "lambda:GetAlias",
            "lambda:GetPolicy",
            "lambda:RemovePermission",
            "lambda:UpdateAlias",
        ],
        [FUNCTION, f"{FUNCTION}:live"],
        {},
    ),
    (
        ["apigateway:POST"],
        [APIS, *(f"{APIS}/a1b2c3/{part}" for part in ("deployments", "integrations", "routes", "stages"))],
        {},
    ),
    (["apigateway:GET", "apigateway:PATCH"], [f"{APIS}/a1b2c3", f"{APIS}/a1b2c3/stages/live"], {}),
    (
        ["apigateway:DELETE"],
        [f"{APIS}/a1b2c3/{part}/d4e5f6" for part in ("deployments", "integrations", "routes", "stages")],
        {},
    ),
    (["apigateway:GET", "apigateway:POST", "apigateway:PUT", "apigateway:DELETE"], [API_TAGS], {}),
    # Not in the reference: https://github.com/hashicorp/terraform-provider-aws/issues/20634
    (
        ["apigateway:TagResource", "apigateway:UntagResource"],
        [APIS, f"{APIS}/a1b2c3", f"{APIS}/a1b2c3/stages", f"{APIS}/a1b2c3/stages/live"],
        {},
    ),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
    (["iam:CreateServiceLinkedRole"], [API_SERVICE_ROLE], {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}),
    (
        [
            "iam:CreateRole",
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
        ],
        [f"{ROLES}/path-to-live{suffix}" for suffix in ("", "-live-release", "-live-rollback")],
        {},
    ),
    # The provider lists the instance profiles of a role before it deletes the role.
    (
        ["iam:DeleteRole", "iam:ListInstanceProfilesForRole"],
        [f"{ROLES}/path-to-live{suffix}" for suffix in ("-live-release", "-live-rollback")],
        {},
    ),
    (["iam:PassRole"], [f"{ROLES}/path-to-live"], {"iam:PassedToService": "lambda.amazonaws.com"}),
    (["iam:PassRole"], [f"{ROLES}/path-to-live-live-release"], {"iam:PassedToService": "states.amazonaws.com"}),
    (["iam:PassRole"], [f"{ROLES}/path-to-live-live-rollback"], {"iam:PassedToService": "events.amazonaws.com"}),
    (
        [
            "states:CreateStateMachine",
            "states:DeleteStateMachine",
            "states:DescribeStateMachine",
            "states:ListExecutions",
            "states:ListStateMachineVersions",
            "states:ListTagsForResource",
            "states:StartExecution",
            "states:TagResource",
            "states:UntagResource",
            "states:UpdateStateMachine",
        ],
        [MACHINE],
        {},
    ),
    (["states:DescribeExecution", "states:StopExecution"], [EXECUTION], {}),
    (["states:ValidateStateMachineDefinition"], ["*"], {}),
    (
        [
            "events:DeleteRule",
            "events:DescribeRule",
            "events:ListTagsForResource",
            "events:ListTargetsByRule",
            "events:PutRule",
            "events:PutTargets",
            "events:RemoveTargets",
            "events:TagResource",
            "events:UntagResource",
        ],
        [RULE],
        {},
    ),
    (
        [
            "cloudwatch:DeleteAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        [f"{ALARMS}:path-to-live-live-duration", f"{ALARMS}:path-to-live-live-unhealthy"],
        {},
    ),
    (["cloudwatch:PutMetricAlarm"], [f"{ALARMS}:path-to-live-live-duration"], {}),
    # The reference says the alarm; the API says "scoped to *".
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
    (["cloudwatch:DescribeAlarms", "cloudwatch:PutCompositeAlarm"], ["*"], {}),
    (["cloudwatch:GetMetricData"], ["*"], {}),
    (["cloudwatch:GetDashboard", "cloudwatch:PutDashboard"], [DASHBOARD], {}),
    (
        [
            "sns:CreateTopic",
            "sns:GetTopicAttributes",
            "sns:ListTagsForResource",
            "sns:SetTopicAttributes",
            "sns:Subscribe",
            "sns:TagResource",
            "sns:UntagResource",
        ],
        [TOPIC],
        {},
    ),
    (
        ["sns:GetSubscriptionAttributes", "sns:Unsubscribe"],
        [TOPIC, f"{TOPIC}:1234abcd-12ab-34cd-56ef-1234567890ab"],
        {},
    ),
    # https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
    (["kms:CreateKey"], ["*"], NEW_KEY),
    (["kms:TagResource"], [KEY], NEW_KEY),
    (["kms:ListAliases"], ["*"], {}),
    (["kms:CreateAlias", "kms:UpdateAlias"], [KEY_ALIAS], {}),
    (
        [
            "kms:CreateAlias",
            "kms:DescribeKey",
            "kms:EnableKeyRotation",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:TagResource",
            "kms:UntagResource",
            "kms:UpdateAlias",
            "kms:UpdateKeyDescription",
        ],
        [KEY],
        OWN_KEY,
    ),
    # The resource from AWS's error message: https://github.com/elastic/apm-aws-lambda/issues/526
    (["logs:CreateLogGroup", "logs:PutRetentionPolicy"], [f"{group}:log-stream:" for group in LOG_GROUPS], {}),
    (["logs:DeleteLogGroup"], [f"{group}:log-stream:" for group in LOG_GROUPS[1:]], {}),
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
    (
        ["logs:DeleteMetricFilter", "logs:DescribeMetricFilters", "logs:PutMetricFilter"],
        [LOG_GROUPS[0], f"{LOG_GROUPS[0]}:log-stream:"],
        {},
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html
    (["logs:ListTagsForResource", "logs:TagResource", "logs:UntagResource"], LOG_GROUPS, {}),
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_logs.html
    (["logs:DeleteQueryDefinition", "logs:DescribeQueryDefinitions", "logs:PutQueryDefinition"], ["*"], {}),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
    (
        [
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ],
        ["*"],
        {},
    ),
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    (
        [
            "ssm:AddTagsToResource",
            "ssm:DeleteParameter",
            "ssm:GetParameter",
            "ssm:ListTagsForResource",
            "ssm:PutParameter",
            "ssm:RemoveTagsFromResource",
        ],
        [f"{PARAMETERS}/path-to-live/live/{name}" for name in ("control", "rejected")],
        {},
    ),
    (["ssm:DescribeParameters"], ["*"], {}),
]

REFUSED: list[tuple[str, str, dict[str, str]]] = [
    ("s3:DeleteObject", f"{BUCKET}/path-to-live.tfstate", {}),
    ("s3:PutObject", f"{BUCKET}/bootstrap.tfstate", {}),
    ("lambda:DeleteFunction", FUNCTION, {}),
    ("lambda:InvokeFunction", FUNCTION, {}),
    ("lambda:UpdateAlias", f"{FUNCTION}-other:live", {}),
    ("apigateway:DELETE", f"{APIS}/a1b2c3", {}),
    ("iam:AttachRolePolicy", f"{ROLES}/path-to-live", {}),
    ("iam:DeleteRole", f"{ROLES}/path-to-live", {}),
    ("iam:PutRolePolicy", f"{ROLES}/path-to-live-deploy", {}),
    ("iam:PassRole", f"{ROLES}/path-to-live", {"iam:PassedToService": "ec2.amazonaws.com"}),
    ("iam:PassRole", f"{ROLES}/path-to-live", {}),
    ("iam:CreateServiceLinkedRole", API_SERVICE_ROLE, {"iam:AWSServiceName": "ecs.amazonaws.com"}),
    ("iam:CreateServiceLinkedRole", f"{ROLES}/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS", {}),
    ("iam:PassRole", f"{ROLES}/path-to-live-live-release", {"iam:PassedToService": "events.amazonaws.com"}),
    ("states:DeleteStateMachine", MACHINE.replace("path-to-live", "other"), {}),
    ("cloudwatch:PutMetricAlarm", f"{ALARMS}:other", {}),
    ("ssm:PutParameter", f"{PARAMETERS}/other/live/control", {}),
    ("kms:Decrypt", KEY, OWN_KEY),
    ("kms:CreateKey", "*", {}),
    ("kms:PutKeyPolicy", KEY, {"aws:ResourceTag/Service": "other"}),
    ("logs:CreateLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/other:log-stream:", {}),
    ("logs:DeleteLogGroup", f"{LOG_GROUPS[0]}:log-stream:", {}),
]


@pytest.fixture(scope="module")
def role(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = copy(tmp_path_factory.mktemp("deploy-role") / "bootstrap", SOURCE / "bootstrap")
    bootstrap = Configuration(directory, provider=provider)
    plan = bootstrap.variables(github_repository=REPOSITORY, github_oidc_provider_arn=PROVIDER).plan()
    values: dict[str, Any] = {
        "policy": plan.resources["aws_iam_role_policy.deploy[0]"]["values"]["policy"],
        "trust": plan.resources["aws_iam_role.deploy[0]"]["values"]["assume_role_policy"],
    }
    return values


def requests() -> Iterator[tuple[str, str, dict[str, str]]]:
    for actions, resources, context in REQUESTS:
        for action in actions:
            for resource in resources:
                yield action, resource, context


@pytest.mark.parametrize(("action", "resource", "context"), list(requests()))
def test_role_may_do_everything_that_a_deployment_needs(
    role: dict[str, Any], action: str, resource: str, context: dict[str, str]
) -> None:
    # A grant on "*" covers any resource. A request without a resource is authorized only against "*".
    assert iam.allows(role["policy"], action, resource=resource, context=context)


@pytest.mark.parametrize(("action", "resource", "context"), REFUSED)
def test_role_may_not_send_other_requests(
    role: dict[str, Any], action: str, resource: str, context: dict[str, str]
) -> None:
    assert not iam.allows(role["policy"], action, resource=resource, context=context)


def test_role_has_no_other_actions(role: dict[str, Any]) -> None:
    assert iam.actions(role["policy"]) == {action for action, _, _ in requests()}


def test_role_has_few_statements_for_every_resource(role: dict[str, Any]) -> None:
    unscoped = {statement["Sid"] for statement in iam.statements(role["policy"]) if statement["Resource"] == "*"}
    assert unscoped == {"UnscopedActions", "CreateTopicKey", "ManageCompositeAlarms"}


def test_policy_is_short_enough(role: dict[str, Any]) -> None:
    # White space does not count: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(json.dumps(json.loads(role["policy"]), separators=(",", ":"))) <= 10_240


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
        "workflow": "Deploy",
    } | claims
    found["job_workflow_ref"] = f"{found['repository']}/.github/workflows/deploy.yml@{found['ref']}"
    owner, name = found["repository"].split("/")
    if immutable:
        owner, name = f"{owner}@{found['repository_owner_id']}", f"{name}@{found['repository_id']}"
    if found["environment"]:
        job = f"environment:{found['environment']}"
    else:
        del found["environment"]
        job = "pull_request" if found["event_name"] == "pull_request" else f"ref:{found['ref']}"
    return {"sub": f"repo:{owner}/{name}:{job}"} | found


def may_assume(role: dict[str, Any], claims: dict[str, str], provider: str = PROVIDER) -> bool:
    context = {f"token.actions.githubusercontent.com:{claim}": value for claim, value in claims.items()}
    return iam.allows(role["trust"], "sts:AssumeRoleWithWebIdentity", principal=provider, context=context)


FORMS = pytest.mark.parametrize("immutable", [False, True], ids=["names", "names and ids"])
PULL_REQUEST = {"event_name": "pull_request", "ref": "refs/pull/7/merge", "head_ref": "feature", "base_ref": "main"}


@FORMS
@pytest.mark.parametrize("environment", ["dev", "test", "live"])
@pytest.mark.parametrize("event", ["push", "workflow_dispatch"])
def test_job_on_main_in_the_environment_of_a_stage_may_assume_the_role(
    role: dict[str, Any], immutable: bool, environment: str, event: str
) -> None:
    assert may_assume(role, token(immutable=immutable, environment=environment, event_name=event))


@FORMS
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"ref": "refs/heads/feature"}, id="another branch"),
        pytest.param({"ref": "refs/heads/main2"}, id="a branch whose name begins with main"),
        pytest.param({"ref": "refs/tags/main", "ref_type": "tag"}, id="a tag called main"),
        pytest.param({"environment": "prod"}, id="another environment"),
        pytest.param({"environment": "LIVE"}, id="an environment in capitals"),
        pytest.param({"environment": ""}, id="no environment"),
        pytest.param({"environment": "", **PULL_REQUEST}, id="pull request"),
        pytest.param(PULL_REQUEST, id="pull request in the environment of a stage"),
        pytest.param({"aud": "https://github.com/octocat"}, id="the default audience"),
        pytest.param({"repository": "octocat/other", "repository_id": "2"}, id="another repository"),
        pytest.param({"repository": "octocat/other"}, id="the repository under another name"),
        pytest.param({"repository": "octocat/hello.git"}, id="the name with .git"),
        pytest.param({"repository": "Octocat/Hello"}, id="the name in other case"),
        pytest.param(
            {
                "repository": "mallory/hello",
                "repository_owner": "mallory",
                "repository_owner_id": "3",
                "repository_id": "4",
            },
            id="a fork",
        ),
        pytest.param({"repository_id": "5"}, id="a new repository under the name of one that was renamed"),
        pytest.param({"repository_owner_id": "6", "repository_id": "7"}, id="a new owner under an abandoned name"),
    ],
)
def test_any_other_job_may_not_assume_the_role(role: dict[str, Any], immutable: bool, claims: dict[str, str]) -> None:
    assert not may_assume(role, token(immutable=immutable, **claims))


@pytest.mark.parametrize("claim", ["aud", "ref", "repository_id", "sub"])
def test_token_without_a_claim_may_not_assume_the_role(role: dict[str, Any], claim: str) -> None:
    claims = token(immutable=True)
    del claims[claim]
    assert not may_assume(role, claims)


def test_token_of_another_identity_provider_may_not_assume_the_role(role: dict[str, Any]) -> None:
    assert not may_assume(role, token(immutable=True), f"arn:aws:iam::{ACCOUNT}:oidc-provider/example.com")


@pytest.mark.parametrize("operator", ["StringLike", "StringEqualsIgnoreCase", "ForAllValues:StringEquals"])
def test_evaluator_fails_on_an_unknown_operator(role: dict[str, Any], operator: str) -> None:
    trust = json.loads(role["trust"])
    trust["Statement"][0]["Condition"] = {operator: {"token.actions.githubusercontent.com:sub": "*"}}
    with pytest.raises(AssertionError, match=f"{operator} is unknown"):
        may_assume({"trust": trust}, token(immutable=True))


def test_trust_policy_is_short_enough_for_the_longest_names(role: dict[str, Any]) -> None:
    trust = json.dumps(json.loads(role["trust"]), separators=(",", ":"))
    for short, longest in (("octocat", "o" * 39), ("hello", "n" * 100), ("583231", "1" * 10), ("1296269", "2" * 10)):
        assert short in trust
        trust = trust.replace(short, longest)
    # The default quota of an account:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(trust) <= 2048
