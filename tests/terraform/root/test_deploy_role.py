"""The permissions and the trust policies of the roles for GitHub Actions, evaluated as IAM evaluates them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.conftest import REGION
from tests.python.permissions import page
from tests.terraform import iam
from tests.terraform.attacks import (
    ACCOUNT,
    ALARMS,
    API_SERVICE_ROLE,
    API_TAGS,
    APIS,
    ATTACKS,
    BOUNDARY,
    BOUNDED,
    BUCKET,
    DASHBOARD,
    ELSEWHERE,
    EXECUTION,
    FUNCTION,
    KEY,
    LOG_GROUPS,
    MACHINE,
    NEW_TAGS,
    ON_ANOTHER_BRANCH,
    OWN,
    PARAMETERS,
    PROVIDER,
    PULL_REQUEST,
    REPOSITORY,
    ROLE,
    ROLES,
    RULE,
    SERVICE_ROLES,
    STAGES,
    TOPIC,
    Requests,
    expanded,
    may_assume,
    on_other_stages,
    token,
)
from tests.terraform.support import SOURCE, Configuration, Provider, copy

# Each action with every resource that AWS authorizes it against, from the service authorization reference. If the
# reference has nothing or is wrong, the entry has the address of another source.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

# What a plan refreshes, and what the commands read before they do anything.
READS: Requests = [
    (["s3:ListBucket"], [BUCKET], {}),
    (["s3:GetObject"], [f"{BUCKET}/path-to-live.tfstate", f"{BUCKET}/path-to-live.tfstate.tflock"], {}),
    (["lambda:GetFunctionCodeSigningConfig", "lambda:ListTags", "lambda:ListVersionsByFunction"], [FUNCTION], {}),
    # With a qualifier, AWS's guide names the ARN of the alias or the version, the reference that of the function.
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    (["lambda:GetFunction", "lambda:GetFunctionConfiguration"], [FUNCTION, f"{FUNCTION}:7", f"{FUNCTION}:live"], {}),
    (["lambda:GetAlias", "lambda:GetPolicy"], [FUNCTION, f"{FUNCTION}:live"], {}),
    (["apigateway:GET"], [APIS, f"{APIS}/a1b2c3", f"{APIS}/a1b2c3/stages/live", f"{API_TAGS}a1b2c3"], {}),
    (
        ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"],
        SERVICE_ROLES,
        {},
    ),
    (
        [
            "states:DescribeStateMachine",
            "states:ListExecutions",
            "states:ListStateMachineVersions",
            "states:ListTagsForResource",
        ],
        [MACHINE],
        {},
    ),
    (["states:DescribeExecution"], [EXECUTION], {}),
    (["states:ListStateMachines", "states:ValidateStateMachineDefinition"], ["*"], {}),
    (["lambda:ListAliases"], [FUNCTION], {}),
    (["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"], [RULE], {}),
    (
        ["cloudwatch:ListTagsForResource"],
        [f"{ALARMS}:path-to-live-live-duration", f"{ALARMS}:path-to-live-live-unhealthy"],
        {},
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
    (["cloudwatch:DescribeAlarms"], ["*"], {}),
    (["cloudwatch:GetDashboard"], [DASHBOARD], {}),
    (["sns:GetTopicAttributes", "sns:ListTagsForResource"], [TOPIC], {}),
    (["sns:GetSubscriptionAttributes"], [TOPIC, f"{TOPIC}:1234abcd-12ab-34cd-56ef-1234567890ab"], {}),
    # https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html
    (["kms:ListAliases"], ["*"], {}),
    (["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"], [KEY], OWN),
    (["logs:DescribeMetricFilters"], [LOG_GROUPS[0], f"{LOG_GROUPS[0]}:log-stream:"], {}),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsForResource.html
    (["logs:ListTagsForResource"], LOG_GROUPS, {}),
    (["logs:DescribeLogGroups", "logs:DescribeQueryDefinitions"], ["*"], {}),
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    (
        ["ssm:GetParameter", "ssm:ListTagsForResource"],
        [f"{PARAMETERS}/path-to-live/live/{name}" for name in ("control", "rejected")],
        {},
    ),
    (["ssm:DescribeParameters"], ["*"], {}),
]

# https://developer.hashicorp.com/terraform/language/backend/s3#permissions-required
STATE: Requests = [
    (["s3:PutObject"], [f"{BUCKET}/path-to-live.tfstate", f"{BUCKET}/path-to-live.tfstate.tflock"], {}),
    (["s3:DeleteObject"], [f"{BUCKET}/path-to-live.tfstate.tflock"], {}),
]


def release(stage: str) -> Requests:
    """Return the requests of `make promote`, `release`, `rollback`, and `freeze`: scripts/pathtolive/release."""
    return [
        (["states:StartExecution"], [MACHINE.replace("live-live", f"live-{stage}")], {}),
        # `make rollback` of a release in progress, and DO=abort
        (["states:StopExecution"], [EXECUTION.replace("live-live", f"live-{stage}")], {}),
        (["ssm:PutParameter"], [f"{PARAMETERS}/path-to-live/{stage}/control"], {}),
        (["apigateway:PATCH"], [f"{APIS}/a1b2c3/stages/{stage}"], OWN),
        (["cloudwatch:GetMetricData"], ["*"], {}),
    ]


# `make build deploy` of a change of code, and of the names of routes.
PUBLISH: Requests = [
    (["lambda:PublishVersion", "lambda:UpdateFunctionCode"], [FUNCTION], {}),
    (["lambda:UpdateAlias"], [f"{FUNCTION}:dev"], {}),
    (["apigateway:PATCH"], [f"{APIS}/a1b2c3/stages/dev"], OWN),
    (["apigateway:POST"], [f"{APIS}/a1b2c3/deployments"], OWN),
]

INFRASTRUCTURE: Requests = [
    (
        [
            "lambda:CreateFunction",
            "lambda:PublishVersion",
            "lambda:TagResource",
            "lambda:UntagResource",
            "lambda:UpdateFunctionConfiguration",
        ],
        [FUNCTION],
        {},
    ),
    (
        ["lambda:AddPermission", "lambda:CreateAlias", "lambda:DeleteAlias", "lambda:RemovePermission"],
        [FUNCTION, f"{FUNCTION}:live"],
        {},
    ),
    (["apigateway:POST", "apigateway:TagResource"], [APIS], NEW_TAGS),
    # Not in the reference: https://github.com/hashicorp/terraform-provider-aws/issues/20634
    (["apigateway:TagResource"], [f"{APIS}/a1b2c3/stages"], NEW_TAGS),
    (["apigateway:TagResource", "apigateway:UntagResource"], [f"{APIS}/a1b2c3", f"{APIS}/a1b2c3/stages/live"], OWN),
    (
        ["apigateway:POST"],
        [f"{APIS}/a1b2c3/{part}" for part in ("deployments", "integrations", "routes", "stages")],
        OWN,
    ),
    (["apigateway:PATCH"], [f"{APIS}/a1b2c3", f"{APIS}/a1b2c3/stages/live"], OWN),
    (
        ["apigateway:DELETE"],
        [f"{APIS}/a1b2c3/{part}/d4e5f6" for part in ("deployments", "integrations", "routes", "stages")],
        OWN,
    ),
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
    (["iam:CreateServiceLinkedRole"], [API_SERVICE_ROLE], {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}),
    (
        [
            "iam:CreateRole",
            "iam:DeleteRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
        ],
        SERVICE_ROLES,
        BOUNDED,
    ),
    (["iam:DeleteRole"], SERVICE_ROLES[1:], BOUNDED),
    (["iam:ListInstanceProfilesForRole", "iam:TagRole", "iam:UntagRole"], SERVICE_ROLES, {}),
    (["iam:PassRole"], [SERVICE_ROLES[0]], {"iam:PassedToService": "lambda.amazonaws.com"}),
    (["iam:PassRole"], [SERVICE_ROLES[1]], {"iam:PassedToService": "states.amazonaws.com"}),
    (["iam:PassRole"], [SERVICE_ROLES[2]], {"iam:PassedToService": "events.amazonaws.com"}),
    (
        [
            "states:CreateStateMachine",
            "states:DeleteStateMachine",
            "states:TagResource",
            "states:UntagResource",
            "states:UpdateStateMachine",
        ],
        [MACHINE],
        {},
    ),
    (
        [
            "events:DeleteRule",
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
        ["cloudwatch:DeleteAlarms", "cloudwatch:TagResource", "cloudwatch:UntagResource"],
        [f"{ALARMS}:path-to-live-live-duration", f"{ALARMS}:path-to-live-live-unhealthy"],
        {},
    ),
    (["cloudwatch:PutMetricAlarm"], [f"{ALARMS}:path-to-live-live-duration"], {}),
    # The reference says the alarm; the API says "scoped to *".
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
    (["cloudwatch:PutCompositeAlarm"], ["*"], {}),
    (["cloudwatch:PutDashboard"], [DASHBOARD], {}),
    (
        ["sns:CreateTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:UntagResource"],
        [TOPIC],
        {},
    ),
    (["sns:Unsubscribe"], [TOPIC, f"{TOPIC}:1234abcd-12ab-34cd-56ef-1234567890ab"], {}),
    # The resource from AWS's error message: https://github.com/elastic/apm-aws-lambda/issues/526
    (["logs:CreateLogGroup", "logs:PutRetentionPolicy"], [f"{group}:log-stream:" for group in LOG_GROUPS], {}),
    (["logs:DeleteLogGroup"], [f"{group}:log-stream:" for group in LOG_GROUPS[1:]], {}),
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
    (["logs:DeleteMetricFilter", "logs:PutMetricFilter"], [LOG_GROUPS[0], f"{LOG_GROUPS[0]}:log-stream:"], {}),
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html
    (["logs:TagResource", "logs:UntagResource"], LOG_GROUPS, {}),
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_logs.html
    (["logs:DeleteQueryDefinition", "logs:PutQueryDefinition"], ["*"], {}),
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
    (
        ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:PutParameter", "ssm:RemoveTagsFromResource"],
        [f"{PARAMETERS}/path-to-live/live/{name}" for name in ("control", "rejected")],
        {},
    ),
]

# API Gateway's own actions on tags. No condition key tells whose tags they are.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging.html
TAGS: Requests = [
    (
        ["apigateway:DELETE", "apigateway:POST", "apigateway:PUT"],
        [f"{API_TAGS}a1b2c3", f"{API_TAGS}a1b2c3%2Fstages%2Flive"],
        {},
    ),
]

NEEDED: dict[str, Requests] = {
    "plan": READS,
    "infrastructure": [*READS, *STATE, *INFRASTRUCTURE],
    "deploy-dev": [*READS, *STATE, *PUBLISH],
    "deploy-test": [*READS, *STATE, *release("test")],
    "deploy-live": [*READS, *STATE, *release("live")],
}


class Roles:
    """The roles of a plan: their permissions and their trust."""

    def __init__(self, plan: Any) -> None:
        resources = {
            address: change["change"]["after"]
            for address, change in plan.resource_changes.items()
            if change["mode"] == "managed"
        }
        self.boundary: str = resources["aws_iam_policy.boundary"]["policy"]
        self.managed = {
            name: resources[f"aws_iam_policy.{name}[0]"]["policy"]
            for name in ("domains", "infrastructure", "read")
            if f"aws_iam_policy.{name}[0]" in resources
        }
        self.inline: dict[str, list[str]] = {}
        self.attached: dict[str, list[str]] = {}
        self.trust: dict[str, str] = {}
        for address, change in resources.items():
            kind, name = address.split("[")[0].split(".")
            role = str(change.get("role", change.get("name"))).removeprefix("path-to-live-")
            if kind == "aws_iam_role":
                self.trust[role] = change["assume_role_policy"]
            elif kind == "aws_iam_role_policy":
                self.inline.setdefault(role, []).append(change["policy"])
            elif kind == "aws_iam_role_policy_attachment":
                self.attached.setdefault(role, []).append(self.managed[name])
        self.policy: dict[str, dict[str, Any]] = {
            role: {
                "Statement": [
                    statement
                    for document in [*self.attached.get(role, []), *self.inline.get(role, [])]
                    for statement in iam.statements(document)
                ]
            }
            for role in self.trust
        }


@pytest.fixture(scope="module")
def bootstrap(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    directory = copy(tmp_path_factory.mktemp("deploy-roles") / "bootstrap", SOURCE / "bootstrap")
    return Configuration(directory, provider=provider)


def planned(bootstrap: Configuration, **variables: Any) -> Roles:
    given = {"github_repository": REPOSITORY, "github_oidc_provider_arn": PROVIDER} | variables
    return Roles(bootstrap.variables(**given).plan())


@pytest.fixture(scope="module")
def roles(bootstrap: Configuration) -> Roles:
    return planned(bootstrap)


@pytest.fixture(scope="module")
def later(bootstrap: Configuration) -> Roles:
    """Return the roles after the first deployment, when the API's ID is known."""
    return planned(bootstrap, api_id="a1b2c3")


def test_each_environment_has_a_role(roles: Roles) -> None:
    assert set(roles.policy) == set(ROLES)


@pytest.mark.parametrize("known", [False, True], ids=["first deployment", "later"])
@pytest.mark.parametrize("name", ROLES)
def test_role_may_do_everything_that_it_needs(roles: Roles, later: Roles, name: str, known: bool) -> None:
    policy = (later if known else roles).policy[name]
    needed = [*NEEDED[name], *(TAGS if known and name == "infrastructure" else [])]
    # A grant on "*" covers any resource. A request without a resource is authorized only against "*".
    denied = [each for each in expanded(needed) if not iam.allows(policy, each[0], resource=each[1], context=each[2])]
    assert denied == []


@pytest.mark.parametrize("name", ROLES)
def test_role_has_no_other_actions(later: Roles, name: str) -> None:
    needed = [*NEEDED[name], *(TAGS if name == "infrastructure" else [])]
    assert iam.actions(later.policy[name]) == {action for action, _, _ in expanded(needed)}


def test_page_lists_every_permission(later: Roles) -> None:
    """The long rehearsal in tests/python/permissions writes the page."""
    documents = {(name, document) for name, found in later.inline.items() for document in found}
    documents |= {("plan", later.managed["read"]), ("infrastructure", later.managed["infrastructure"])}
    granted = {
        (page.EVERY if name == "plan" else page.group(f"path-to-live-{name}", ""), statement["Sid"], action)
        for name, document in documents
        for statement in iam.statements(document)
        for action in iam.actions({"Statement": [statement]})
    }
    listed = {each for each in page.listed(page.PATH.read_text()) if each[0] in {group for group, _, _ in granted}}
    assert listed == granted, "docs/permissions.md is out of date. Run: make permissions"


@pytest.mark.parametrize("known", [False, True], ids=["first deployment", "later"])
@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_role_may_do_more(roles: Roles, later: Roles, name: str, known: bool, attack: str) -> None:
    policy = (later if known else roles).policy[name]
    requests = [*expanded(ATTACKS[attack]), *(expanded(TAGS) if not known else ())]
    allowed = [each for each in requests if iam.allows(policy, each[0], resource=each[1], context=each[2])]
    assert allowed == []


def test_parts_of_the_api_are_known_by_the_id_if_they_inherit_no_tags(roles: Roles, later: Roles) -> None:
    for name, resource in {
        "deploy-dev": f"{APIS}/a1b2c3/deployments",
        "infrastructure": f"{APIS}/a1b2c3/routes",
    }.items():
        assert iam.allows(later.policy[name], "apigateway:POST", resource=resource)
        assert not iam.allows(roles.policy[name], "apigateway:POST", resource=resource)


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("stage", STAGES)
def test_only_the_role_of_a_stage_releases_to_it(later: Roles, name: str, stage: str) -> None:
    """The first stage follows the newest version, so that nothing is released to it."""
    allowed = [
        iam.allows(later.policy[name], action, resource=resource, context=context)
        for action, resource, context in expanded(release(stage))
        # The infrastructure role manages these.
        if not (name == "infrastructure" and action in {"ssm:PutParameter", "apigateway:PATCH"})
        # Metrics have no resource, and deploy-dev also sets the routes of dev.
        and action != "cloudwatch:GetMetricData"
        and not (name == stage_role(stage) == "deploy-dev" and action == "apigateway:PATCH")
    ]
    assert set(allowed) == {name == stage_role(stage) and stage != "dev"}


@pytest.mark.parametrize("name", ["deploy-dev", "deploy-test", "deploy-live"])
def test_role_of_a_stage_cannot_move_another(later: Roles, name: str) -> None:
    requests, policy = expanded(on_other_stages(name)), later.policy[name]
    assert [each for each in requests if iam.allows(policy, each[0], resource=each[1], context=each[2])] == []


def stage_role(stage: str) -> str:
    return f"deploy-{stage}"


@pytest.mark.parametrize("name", [name for name in ROLES if name != "deploy-dev"])
def test_only_the_role_of_dev_changes_the_code(later: Roles, name: str) -> None:
    for resource in (FUNCTION, f"{FUNCTION}:dev"):
        assert not iam.allows(later.policy[name], "lambda:UpdateFunctionCode", resource=resource)


@pytest.mark.parametrize("name", [name for name in ROLES if name != "infrastructure"])
@pytest.mark.parametrize(
    "action",
    [
        "cloudwatch:PutCompositeAlarm",
        "cloudwatch:PutMetricAlarm",
        "events:PutRule",
        "iam:PassRole",
        "iam:PutRolePolicy",
        "lambda:AddPermission",
        "lambda:UpdateFunctionConfiguration",
        "states:UpdateStateMachine",
    ],
)
def test_only_the_infrastructure_role_changes_the_infrastructure(later: Roles, name: str, action: str) -> None:
    assert action not in iam.actions(later.policy[name])


def test_role_that_plans_writes_nothing(later: Roles) -> None:
    words = ("Get", "List", "Describe", "GET", "Validate")
    assert {
        action for action in iam.actions(later.policy["plan"]) if not action.split(":")[1].startswith(words)
    } == set()
    assert "plan" not in later.inline


def test_boundary_stays_whatever_else_the_infrastructure_role_is_permitted(later: Roles) -> None:
    everything = {
        "Effect": "Allow",
        "Action": ["iam:DeleteRolePermissionsBoundary", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"],
        "Resource": "*",
    }
    policy = {"Statement": [*later.policy["infrastructure"]["Statement"], everything]}
    for role in SERVICE_ROLES:
        assert not iam.allows(policy, "iam:DeleteRolePermissionsBoundary", resource=role)
    for action in ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"):
        assert not iam.allows(policy, action, resource=BOUNDARY)


# Of a stack, or of its copy in a workspace
STACKS = pytest.mark.parametrize("stack", ["path-to-live", "path-to-live-alice"])
TOPIC_KEY = {"kms:EncryptionContext:aws:sns:topicArn": TOPIC}
# The requests of the service's own roles: terraform/modules/function and terraform/modules/release.
SERVICE: Requests = [
    (["logs:CreateLogStream", "logs:PutLogEvents"], [f"{LOG_GROUPS[0]}:log-stream:2026/11/28/[7]0"], {}),
    (["lambda:GetAlias", "lambda:UpdateAlias"], [FUNCTION, f"{FUNCTION}:live"], {}),
    (["lambda:GetFunctionConfiguration"], [FUNCTION, f"{FUNCTION}:7"], {}),
    (["lambda:InvokeFunction"], [f"{FUNCTION}:7"], {}),
    (["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"], ["*"], {}),
    (["states:DescribeExecution"], [EXECUTION], {}),
    (["states:StartExecution"], [MACHINE], {}),
    (["ssm:GetParameter"], [f"{PARAMETERS}/path-to-live/live/control", f"{PARAMETERS}/path-to-live/live/rejected"], {}),
    (["ssm:PutParameter"], [f"{PARAMETERS}/path-to-live/live/rejected"], {}),
    (["sns:Publish"], [TOPIC], {}),
    (["kms:Decrypt", "kms:GenerateDataKey"], [KEY], TOPIC_KEY),
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
]


@STACKS
def test_boundary_allows_what_the_service_needs(roles: Roles, stack: str) -> None:
    requests = [
        (
            action,
            resource.replace("path-to-live", stack),
            {k: v.replace("path-to-live", stack) for k, v in context.items()},
        )
        for action, resource, context in expanded(SERVICE)
    ]
    denied = [each for each in requests if not iam.allows(roles.boundary, each[0], resource=each[1], context=each[2])]
    assert denied == []


def test_boundary_allows_no_other_actions(roles: Roles) -> None:
    assert iam.actions(roles.boundary) == {action for action, _, _ in expanded(SERVICE)}


def test_boundary_has_every_action_of_the_modules(roles: Roles) -> None:
    """A new permission of a module must be in the boundary, too, and then in the requests above."""
    found = set()
    for module in ("function", "release"):
        text = (SOURCE / "modules" / module / "main.tf").read_text()
        documents = re.findall(r'^data "aws_iam_policy_document".*?^}$', text, re.MULTILINE | re.DOTALL)
        found |= set(re.findall(r'"([a-z]+:[A-Z][A-Za-z]+)"', "\n".join(documents))) - {
            "sts:AssumeRole",
            "aws:SourceArn",
        }
    assert found == iam.actions(roles.boundary)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("iam:PutRolePolicy", SERVICE_ROLES[0], BOUNDED),
        ("s3:PutObject", f"{BUCKET}/path-to-live.tfstate", {}),
        ("sts:AssumeRole", f"{ROLE}/admin", {}),
        ("lambda:UpdateFunctionCode", FUNCTION, {}),
        ("lambda:UpdateAlias", FUNCTION.replace("path-to-live", "other:live"), {}),
        ("ssm:PutParameter", f"{PARAMETERS}/path-to-live/live/control", {}),
        ("ssm:PutParameter", f"{PARAMETERS}/path-to-live-alice/live/control", {}),
        ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/database/password", {}),
        ("sns:Publish", TOPIC.replace("path-to-live", "other"), {}),
        ("kms:Decrypt", KEY, {}),
        ("kms:Decrypt", KEY, {"kms:EncryptionContext:aws:sns:topicArn": TOPIC.replace("path-to-live", "other")}),
        ("states:StartExecution", MACHINE.replace("path-to-live", "other"), {}),
    ],
)
def test_boundary_allows_nothing_else(roles: Roles, action: str, resource: str, context: dict[str, str]) -> None:
    assert not iam.allows(roles.boundary, action, resource=resource, context=context)


def test_boundary_has_further_permissions_of_the_function(bootstrap: Configuration) -> None:
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"
    further = {"Orders": {"actions": ["dynamodb:GetItem"], "resources": [table]}}
    boundary = planned(bootstrap, function_permissions=further).boundary
    assert iam.allows(boundary, "dynamodb:GetItem", resource=table)
    assert not iam.allows(boundary, "dynamodb:GetItem", resource=f"{table}-other")


def test_function_permissions_have_no_wildcards(bootstrap: Configuration) -> None:
    further = {"All": {"actions": ["iam:*"], "resources": ["*"]}}
    refusal = bootstrap.variables(github_repository=REPOSITORY, function_permissions=further).refusal()
    assert "function_permissions must be written out" in refusal


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ([], "at least one name"),
        (["dev", "dev"], "each of them once"),
        (["dev", "*"], "letters, digits"),
        (["dev", "infrastructure"], "must not be named"),
        (["dev", "Plan"], "must not be named"),
        (["dev", "x-release"], "not end in"),
    ],
)
def test_stages_cannot_take_over_other_roles(bootstrap: Configuration, stages: list[str], reason: str) -> None:
    assert reason in bootstrap.variables(github_repository=REPOSITORY, stages=stages).refusal()


def size(policy: str) -> int:
    # White space does not count: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    return len(json.dumps(json.loads(policy), separators=(",", ":")))


def test_policies_are_short_enough_for_six_stages(bootstrap: Configuration) -> None:
    stages = [f"stage-number-{i}" for i in range(6)]
    found = planned(bootstrap, name="n" * 32, stages=stages, api_id="a1b2c3d4e5")
    assert max(sum(map(size, policies)) for policies in found.inline.values()) <= 10_240
    assert max(map(size, [*found.managed.values(), found.boundary])) <= 6_144


def assumable(roles: Roles, claims: dict[str, str], provider: str = PROVIDER) -> set[str]:
    """Return the roles that a job with a token may assume."""
    return {name for name in ROLES if may_assume(roles.trust[name], claims, provider)}


FORMS = pytest.mark.parametrize("immutable", [False, True], ids=["names", "names and ids"])


@FORMS
@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ("plan", "plan"),
        ("infrastructure", "infrastructure"),
        ("dev", "deploy-dev"),
        ("test", "deploy-test"),
        ("live", "deploy-live"),
    ],
)
@pytest.mark.parametrize("event", ["push", "workflow_dispatch", "schedule"])
def test_job_on_main_may_assume_only_the_role_of_its_environment(
    roles: Roles, immutable: bool, environment: str, name: str, event: str
) -> None:
    assert assumable(roles, token(immutable=immutable, environment=environment, event_name=event)) == {name}


@FORMS
def test_pull_request_may_only_plan(roles: Roles, immutable: bool) -> None:
    assert assumable(roles, token(immutable=immutable, environment="", **PULL_REQUEST)) == {"plan"}


@FORMS
def test_pull_request_whose_token_names_main_may_only_plan(roles: Roles, immutable: bool) -> None:
    claims = token(immutable=immutable, environment="", event_name="pull_request")
    assert claims["ref"] == "refs/heads/main"
    assert assumable(roles, claims) == {"plan"}


@FORMS
def test_another_branch_may_only_plan(roles: Roles, immutable: bool) -> None:
    assert assumable(roles, token(immutable=immutable, environment="plan", ref="refs/heads/feature")) == {"plan"}


@FORMS
@pytest.mark.parametrize("environment", ["infrastructure", "dev", "test", "live"])
@pytest.mark.parametrize("attack", ON_ANOTHER_BRANCH)
def test_only_main_may_assume_a_role_that_changes_anything(
    roles: Roles, immutable: bool, environment: str, attack: str
) -> None:
    claims = token(immutable=immutable, environment=environment, **ON_ANOTHER_BRANCH[attack])
    assert assumable(roles, claims) == set()


@FORMS
@pytest.mark.parametrize("attack", ELSEWHERE)
def test_any_other_job_may_assume_no_role(roles: Roles, immutable: bool, attack: str) -> None:
    assert assumable(roles, token(immutable=immutable, **ELSEWHERE[attack])) == set()


@pytest.mark.parametrize("claim", ["aud", "ref", "repository_id", "sub"])
def test_token_without_a_claim_may_assume_no_role(roles: Roles, claim: str) -> None:
    claims = token(immutable=True)
    del claims[claim]
    assert assumable(roles, claims) == set()


@pytest.mark.parametrize("claim", ["aud", "repository_id", "sub"])
def test_token_of_a_pull_request_without_a_claim_may_assume_no_role(roles: Roles, claim: str) -> None:
    claims = token(immutable=True, environment="", **PULL_REQUEST)
    del claims[claim]
    assert assumable(roles, claims) == set()


def test_token_of_another_identity_provider_may_assume_no_role(roles: Roles) -> None:
    assert assumable(roles, token(immutable=True), f"arn:aws:iam::{ACCOUNT}:oidc-provider/example.com") == set()


@pytest.mark.parametrize("operator", ["StringLike", "StringEqualsIgnoreCase", "ForAnyValue:StringEquals"])
def test_evaluator_fails_on_an_unknown_operator(roles: Roles, operator: str) -> None:
    trust = json.loads(roles.trust["deploy-live"])
    trust["Statement"][0]["Condition"] = {operator: {"token.actions.githubusercontent.com:sub": "*"}}
    with pytest.raises(AssertionError, match=f"{operator} is unknown"):
        iam.allows(trust, "sts:AssumeRoleWithWebIdentity", principal=PROVIDER, context=token(immutable=True))


@pytest.mark.parametrize("name", ROLES)
def test_trust_policy_is_short_enough_for_the_longest_names(roles: Roles, name: str) -> None:
    trust = json.dumps(json.loads(roles.trust[name]), separators=(",", ":"))
    for short, longest in (("octocat", "o" * 39), ("hello", "n" * 100), ("583231", "1" * 10), ("1296269", "2" * 10)):
        assert short in trust
        trust = trust.replace(short, longest)
    # The default quota of an account:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(trust) <= 2048
