# The permissions of the roles of GitHub Actions. Every role reads; docs/aws.md has a table of what each one changes.
# Actions and resources: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

locals {
  first_stage  = var.stages[0]
  function_arn = "${local.arn}:lambda:${var.region}:${local.account}:function:${var.name}"
  # With a qualifier, the reference names the function as the resource, and AWS's guide the version or the alias.
  # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
  function_arns  = [local.function_arn, "${local.function_arn}:*"]
  parameters_arn = "${local.arn}:ssm:${var.region}:${local.account}:parameter/releases/${var.name}"

  # A release of each stage has a state machine, a rule, and two roles.
  machine_names  = { for stage in var.stages : stage => "${var.name}-${stage}-release" }
  machines_arn   = "${local.arn}:states:${var.region}:${local.account}:stateMachine:${var.name}-*-release"
  executions_arn = "${local.arn}:states:${var.region}:${local.account}:execution:${var.name}-*-release:*"
  rules_arn      = "${local.arn}:events:${var.region}:${local.account}:rule/${var.name}-*-rollback"
  alarms_arn     = "${local.arn}:cloudwatch:${var.region}:${local.account}:alarm:${var.name}-*"
  dashboard_arn  = "${local.arn}:cloudwatch::${local.account}:dashboard/${var.name}"
  topic_name     = "${var.name}-alerts"
  topic_arn      = "${local.arn}:sns:${var.region}:${local.account}:${local.topic_name}"
  keys_arn       = "${local.arn}:kms:${var.region}:${local.account}:key/*"

  # Composed from the bucket's name, so that a plan shows the whole policy.
  bucket_arn = "${local.arn}:s3:::${aws_s3_bucket.state.bucket}"
  state_arn  = "${local.bucket_arn}/path-to-live.tfstate"

  # The service's own roles, by the service that assumes them. A wildcard could match the roles of GitHub Actions.
  service_role_arns = {
    lambda = ["${local.arn}:iam::${local.account}:role/${var.name}"]
    states = [for name in values(local.machine_names) : "${local.arn}:iam::${local.account}:role/${name}"]
    events = [for stage in var.stages : "${local.arn}:iam::${local.account}:role/${var.name}-${stage}-rollback"]
  }

  # API Gateway chooses the ID of the API, so the service's tag identifies it. The reference lists this key for the parts
  # of an API, too; AWS's guide says that they inherit tags in REST APIs. So the ID identifies it as well, once it exists.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagementv2.html
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
  apis_arn = "${local.arn}:apigateway:${var.region}::/apis"
  apis = merge(
    { Tagged = { id = "*", tags = ["aws:ResourceTag/Service"] } },
    var.api_id == null ? {} : { Known = { id = var.api_id, tags = [] } },
  )
  api_service = "ops.apigateway.amazonaws.com"

  # Both forms of each ARN: IAM authorizes the tag actions against the first, and the others against the second. The
  # service authorization reference does not say so. CreateLogGroup without ":*" in its resource is denied, as in
  # https://github.com/elastic/apm-aws-lambda/issues/526.
  # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
  log_groups_arn         = "${local.arn}:logs:${var.region}:${local.account}:log-group"
  function_log_group_arn = "${local.log_groups_arn}:/aws/lambda/${var.name}"
  stage_log_group_arns   = ["${local.log_groups_arn}:/aws/vendedlogs/states/${var.name}-*-release", "${local.log_groups_arn}:/aws/apigateway/${var.name}/*"]
  log_group_arns = {
    function = [for suffix in ["", ":*"] : "${local.function_log_group_arn}${suffix}"]
    stages   = flatten([for arn in local.stage_log_group_arns : [for suffix in ["", ":*"] : "${arn}${suffix}"]])
  }

  # None of these actions has resource types.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
  # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
  log_delivery_actions = [
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
  ]
}

# What a plan and `terraform apply -refresh-only` read, and the commands that only read.
data "aws_iam_policy_document" "read" {
  statement {
    sid       = "ListStateBucket"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = [local.state_arn, "${local.state_arn}.tflock"]
  }

  statement {
    sid = "ReadFunction"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConfiguration",
      "lambda:GetPolicy",
      # GetFunction returns the tags only with this permission. Without them, Terraform would set the tags at every apply.
      # https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
    ]
    resources = local.function_arns
  }

  # If Terraform's state is lost, or does not exist yet, a plan imports what it finds by name.
  statement {
    sid       = "FindAliases"
    actions   = ["lambda:ListAliases"]
    resources = [local.function_arn]
  }

  # The list of APIs has no tag, and its items have no IDs yet.
  statement {
    sid       = "ReadApis"
    actions   = ["apigateway:GET"]
    resources = [local.apis_arn, "${local.apis_arn}/*", "${local.arn}:apigateway:${var.region}::/tags/*"]
  }

  statement {
    sid       = "ReadRoles"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = flatten(values(local.service_role_arns))
  }

  statement {
    sid = "ReadStateMachines"
    actions = [
      "states:DescribeStateMachine",
      "states:ListExecutions",
      "states:ListStateMachineVersions",
      "states:ListTagsForResource",
    ]
    resources = [local.machines_arn]
  }

  statement {
    sid       = "ReadExecutions"
    actions   = ["states:DescribeExecution"]
    resources = [local.executions_arn]
  }

  statement {
    sid       = "ReadRollbackRules"
    actions   = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
    resources = [local.rules_arn]
  }

  statement {
    sid       = "ReadAlarms"
    actions   = ["cloudwatch:ListTagsForResource"]
    resources = [local.alarms_arn]
  }

  statement {
    sid       = "ReadDashboard"
    actions   = ["cloudwatch:GetDashboard"]
    resources = [local.dashboard_arn]
  }

  statement {
    sid       = "ReadTopic"
    actions   = ["sns:GetTopicAttributes", "sns:ListTagsForResource"]
    resources = [local.topic_arn]
  }

  # A key that the root module has created. KMS chooses its ID, so the service's tag identifies it.
  statement {
    sid       = "ReadTopicKey"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = [local.keys_arn]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Service"
      values   = [var.name]
    }
  }

  statement {
    sid       = "ReadLogGroups"
    actions   = ["logs:ListTagsForResource"]
    resources = concat(local.log_group_arns.function, local.log_group_arns.stages)
  }

  statement {
    sid       = "ReadMetricFilters"
    actions   = ["logs:DescribeMetricFilters"]
    resources = local.log_group_arns.function
  }

  statement {
    sid       = "ReadParameters"
    actions   = ["ssm:GetParameter", "ssm:ListTagsForResource"]
    resources = ["${local.parameters_arn}/*"]
  }

  # None of these actions has resource types, except DescribeAlarms, which returns composite alarms only if it is allowed
  # on all resources, and that of SNS: a subscription's ARN ends in an ID that SNS chooses.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
  statement {
    sid = "UnscopedActions"
    actions = [
      "cloudwatch:DescribeAlarms",
      "kms:ListAliases",
      "logs:DescribeLogGroups",
      "logs:DescribeQueryDefinitions",
      "sns:GetSubscriptionAttributes",
      "ssm:DescribeParameters",
      # For imports, as above.
      "states:ListStateMachines",
      # A plan that changes a state machine validates its definition.
      "states:ValidateStateMachineDefinition",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "read" {
  count = var.github_repository == null ? 0 : 1

  name        = "${var.name}-read"
  description = "Read what a plan of ${var.name} reads"
  policy      = data.aws_iam_policy_document.read.json
}

# Every role but the one that plans. They share one state.
data "aws_iam_policy_document" "state" {
  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = [local.state_arn]
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:PutObject"]
    resources = ["${local.state_arn}.tflock"]
  }
}

# A release, promotion, or rollback of one stage: its state machine changes the alias. The role records the outcome.
data "aws_iam_policy_document" "release" {
  for_each = toset(slice(var.stages, 1, length(var.stages)))

  source_policy_documents = [data.aws_iam_policy_document.state.json]

  statement {
    sid       = "StartReleases"
    actions   = ["states:StartExecution"]
    resources = ["${local.arn}:states:${var.region}:${local.account}:stateMachine:${local.machine_names[each.key]}"]
  }

  # A rollback of a release in progress aborts it.
  statement {
    sid       = "AbortReleases"
    actions   = ["states:StopExecution"]
    resources = ["${local.arn}:states:${var.region}:${local.account}:execution:${local.machine_names[each.key]}:*"]
  }

  statement {
    sid       = "SteerReleases"
    actions   = ["ssm:PutParameter"]
    resources = ["${local.parameters_arn}/${each.key}/control"]
  }

  statement {
    sid       = "SetRoutes"
    actions   = ["apigateway:PATCH"]
    resources = ["${local.apis_arn}/*/stages/${each.key}"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Service"
      values   = [var.name]
    }
  }

  # The commands print the invocations and errors of a release. The action has no resource types.
  statement {
    sid       = "ReadMetrics"
    actions   = ["cloudwatch:GetMetricData"]
    resources = ["*"]
  }
}

# A deployment to the stage that follows the newest version, unless it changes the infrastructure.
data "aws_iam_policy_document" "publish" {
  source_policy_documents = [data.aws_iam_policy_document.state.json]

  statement {
    sid       = "PublishVersions"
    actions   = ["lambda:PublishVersion", "lambda:UpdateFunctionCode"]
    resources = [local.function_arn]
  }

  # The reference names the function as the resource of this action, but a permission for the function would include the
  # aliases of other stages. AWS's guide names the alias.
  # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
  statement {
    sid       = "MoveAlias"
    actions   = ["lambda:UpdateAlias"]
    resources = ["${local.function_arn}:${local.first_stage}"]
  }

  statement {
    sid       = "SetRoutes"
    actions   = ["apigateway:PATCH"]
    resources = ["${local.apis_arn}/*/stages/${local.first_stage}"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Service"
      values   = [var.name]
    }
  }

  # config.tf names the routes that stages serve. Only the infrastructure role deletes their deployments.
  dynamic "statement" {
    for_each = local.apis

    content {
      sid       = "DeployRoutesOf${statement.key}Api"
      actions   = ["apigateway:POST"]
      resources = ["${local.apis_arn}/${statement.value.id}/deployments"]

      dynamic "condition" {
        for_each = statement.value.tags

        content {
          test     = "StringEquals"
          variable = condition.value
          values   = [var.name]
        }
      }
    }
  }
}

# Everything that Terraform manages, except the function's code and the versions of the stages that people release to. It
# cannot delete the function, the API, or the state. It is several documents, because the size of a policy is limited.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
data "aws_iam_policy_document" "infrastructure" {
  # To create a function is to create its code, too. A change of its configuration publishes a version.
  statement {
    sid = "ManageFunction"
    actions = [
      "lambda:AddPermission",
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:DeleteAlias",
      "lambda:PublishVersion",
      "lambda:RemovePermission",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateFunctionConfiguration",
    ]
    resources = local.function_arns
  }

  statement {
    sid = "ManageStateMachines"
    actions = [
      "states:CreateStateMachine",
      "states:DeleteStateMachine",
      "states:TagResource",
      "states:UntagResource",
      "states:UpdateStateMachine",
    ]
    resources = [local.machines_arn]
  }

  statement {
    sid = "ManageRollbackRules"
    actions = [
      "events:DeleteRule",
      "events:PutRule",
      "events:PutTargets",
      "events:RemoveTargets",
      "events:TagResource",
      "events:UntagResource",
    ]
    resources = [local.rules_arn]
  }

  statement {
    sid = "ManageAlarms"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
    ]
    resources = [local.alarms_arn]
  }

  # CloudWatch denies this action under any narrower resource.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
  statement {
    sid       = "ManageCompositeAlarms"
    actions   = ["cloudwatch:PutCompositeAlarm"]
    resources = ["*"]
  }

  statement {
    sid       = "ManageDashboard"
    actions   = ["cloudwatch:PutDashboard"]
    resources = [local.dashboard_arn]
  }

  statement {
    sid = "ManageTopic"
    actions = [
      "sns:CreateTopic",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:UntagResource",
    ]
    resources = [local.topic_arn]
  }

  statement {
    sid = "ManageLogGroups"
    actions = [
      "logs:CreateLogGroup",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = concat(local.log_group_arns.function, local.log_group_arns.stages)
  }

  statement {
    sid       = "ManageMetricFilters"
    actions   = ["logs:DeleteMetricFilter", "logs:PutMetricFilter"]
    resources = local.log_group_arns.function
  }

  statement {
    sid       = "DeleteStageLogGroups"
    actions   = ["logs:DeleteLogGroup"]
    resources = local.log_group_arns.stages
  }

  statement {
    sid = "ManageParameters"
    actions = [
      "ssm:AddTagsToResource",
      "ssm:DeleteParameter",
      "ssm:PutParameter",
      "ssm:RemoveTagsFromResource",
    ]
    resources = ["${local.parameters_arn}/*"]
  }

  # None of these actions has resource types, except that of SNS: a subscription's ARN ends in an ID that SNS chooses.
  statement {
    sid = "UnscopedActions"
    actions = concat(local.log_delivery_actions, [
      "logs:DeleteQueryDefinition",
      "logs:PutQueryDefinition",
      "sns:Unsubscribe",
    ])
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "api" {
  # CreateStage with tags requires TagResource on /apis/ID/stages, which the service authorization reference does not list:
  # https://github.com/hashicorp/terraform-provider-aws/issues/20634
  statement {
    sid       = "CreateApi"
    actions   = ["apigateway:POST", "apigateway:TagResource"]
    resources = [local.apis_arn]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Service"
      values   = [var.name]
    }
  }

  statement {
    sid       = "TagNewStages"
    actions   = ["apigateway:TagResource"]
    resources = ["${local.apis_arn}/*/stages"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Service"
      values   = [var.name]
    }
  }

  dynamic "statement" {
    for_each = local.apis

    content {
      sid = "Manage${statement.key}Api"
      actions = [
        "apigateway:PATCH",
        "apigateway:POST",
        "apigateway:TagResource",
        "apigateway:UntagResource",
      ]
      resources = ["${local.apis_arn}/${statement.value.id}", "${local.apis_arn}/${statement.value.id}/*"]

      dynamic "condition" {
        for_each = statement.value.tags

        content {
          test     = "StringEquals"
          variable = condition.value
          values   = [var.name]
        }
      }
    }
  }

  dynamic "statement" {
    for_each = local.apis

    content {
      sid       = "DeletePartsOf${statement.key}Api"
      actions   = ["apigateway:DELETE"]
      resources = [for part in ["deployments", "integrations", "routes", "stages"] : "${local.apis_arn}/${statement.value.id}/${part}/*"]

      dynamic "condition" {
        for_each = statement.value.tags

        content {
          test     = "StringEquals"
          variable = condition.value
          values   = [var.name]
        }
      }
    }
  }

  # Whoever can tag any API can take it over. No condition key tells whose tags these are, so they need the API's ID.
  dynamic "statement" {
    for_each = var.api_id[*]

    content {
      sid       = "TagKnownApi"
      actions   = ["apigateway:DELETE", "apigateway:POST", "apigateway:PUT"]
      resources = [for part in ["", "/*"] : "${local.arn}:apigateway:${var.region}::/tags/${replace(urlencode("${local.apis_arn}/${statement.value}${part}"), "%2A", "*")}"]
    }
  }

  # When an account creates its first API, API Gateway creates its service-linked role on behalf of the caller.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
  statement {
    sid       = "CreateApiServiceRole"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.arn}:iam::${local.account}:role/aws-service-role/${local.api_service}/AWSServiceRoleForAPIGateway"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = [local.api_service]
    }
  }
}

data "aws_iam_policy_document" "service_roles" {
  # With the boundary, and only with it: a role cannot be created without it, or changed before it has it.
  # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
  # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
  statement {
    sid = "ManageBoundedRoles"
    actions = [
      "iam:CreateRole",
      "iam:DeleteRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = flatten(values(local.service_role_arns))

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary_arn]
    }
  }

  # When a stage is removed, its roles are.
  statement {
    sid       = "DeleteBoundedReleaseRoles"
    actions   = ["iam:DeleteRole"]
    resources = concat(local.service_role_arns.states, local.service_role_arns.events)

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.boundary_arn]
    }
  }

  # These actions have no such condition. Before it deletes a role, the provider lists its instance profiles.
  statement {
    sid       = "TagRoles"
    actions   = ["iam:ListInstanceProfilesForRole", "iam:TagRole", "iam:UntagRole"]
    resources = flatten(values(local.service_role_arns))
  }

  # Nothing above permits these. They stay denied, whatever else is attached to the role.
  statement {
    sid    = "KeepBoundary"
    effect = "Deny"
    actions = [
      "iam:CreatePolicyVersion",
      "iam:DeletePolicy",
      "iam:DeletePolicyVersion",
      "iam:DeleteRolePermissionsBoundary",
      "iam:SetDefaultPolicyVersion",
    ]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = local.service_role_arns

    content {
      sid       = "PassRolesTo${title(statement.key)}"
      actions   = ["iam:PassRole"]
      resources = statement.value

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["${statement.key}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_policy" "infrastructure" {
  count = var.github_repository == null ? 0 : 1

  name        = "${var.name}-infrastructure"
  description = "Change the infrastructure of ${var.name}, apart from its API and its roles"
  policy      = data.aws_iam_policy_document.infrastructure.json
}
