# The role that GitHub Actions deploys with. It can change the service, but not delete the function, the API, or the
# state.
# Actions and resources: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

locals {
  github       = "token.actions.githubusercontent.com"
  deploys      = var.github_repository == null ? 0 : 1
  oidc_arn     = var.github_oidc_provider_arn != null ? var.github_oidc_provider_arn : one(aws_iam_openid_connect_provider.github[*].arn)
  function_arn = "${local.arn}:lambda:${var.region}:${local.account}:function:${var.name}"
  role_arn     = "${local.arn}:iam::${local.account}:role/${var.name}"
  # A release of each stage has a state machine, a rule, and two roles.
  machines  = "${var.name}-*-release"
  rollbacks = "${var.name}-*-rollback"
  topic_arn = "${local.arn}:sns:${var.region}:${local.account}:${var.name}-alerts"
  key_alias = "${local.arn}:kms:${var.region}:${local.account}:alias/${var.name}-alerts"
  keys_arn  = "${local.arn}:kms:${var.region}:${local.account}:key/*"

  # The roles that the deployment passes, by the service that assumes them.
  passed_roles = {
    lambda = local.role_arn
    states = "${local.arn}:iam::${local.account}:role/${local.machines}"
    events = "${local.arn}:iam::${local.account}:role/${local.rollbacks}"
  }
  api_service = "ops.apigateway.amazonaws.com"
  apis_arn    = "${local.arn}:apigateway:${var.region}::/apis"
  # Composed from the bucket's name, so that a plan shows the whole policy.
  bucket_arn = "${local.arn}:s3:::${aws_s3_bucket.state.bucket}"
  state_arn  = "${local.bucket_arn}/path-to-live.tfstate"

  # Both forms of each ARN: IAM authorizes the tag actions against the first, and the others against the second. The
  # service authorization reference does not say so. CreateLogGroup without ":*" in its resource is denied, as in
  # https://github.com/elastic/apm-aws-lambda/issues/526.
  # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
  log_group_arns = {
    for owner, name in {
      function = "/aws/lambda/${var.name}"
      releases = "/aws/vendedlogs/states/${local.machines}"
      stages   = "/aws/apigateway/${var.name}/*"
    } : owner => [for suffix in ["", ":*"] : "${local.arn}:logs:${var.region}:${local.account}:log-group:${name}${suffix}"]
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_oidc_provider_arn == null ? local.deploys : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

# Claims: https://docs.github.com/en/actions/reference/security/oidc
# Condition keys: https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/
data "aws_iam_policy_document" "deploy_trust" {
  count = local.deploys

  statement {
    sid     = "GitHubActions"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.oidc_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:aud"
      values   = ["sts.amazonaws.com"]
    }

    # The subjects of repositories created, renamed, or transferred since 15 July 2026 contain the IDs.
    # https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values = flatten([
        for stage in sort(var.stages) : [
          for subject in [
            "${var.github_repository.owner}/${var.github_repository.name}",
            "${var.github_repository.owner}@${var.github_repository.owner_id}/${var.github_repository.name}@${var.github_repository.id}",
          ] : "repo:${subject}:environment:${stage}"
        ]
      ])
    }

    # Without the ids, a repository that takes over an abandoned name would match the subject.
    condition {
      test     = "StringEquals"
      variable = "${local.github}:repository_id"
      values   = [var.github_repository.id]
    }

    # The subject names the environment, not the branch.
    condition {
      test     = "StringEquals"
      variable = "${local.github}:ref"
      values   = ["refs/heads/main"]
    }
  }
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "ListStateBucket"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "ReadWriteState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [local.state_arn]
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.state_arn}.tflock"]
  }

  statement {
    sid = "ManageFunction"
    actions = [
      "lambda:AddPermission",
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:DeleteAlias",
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConfiguration",
      "lambda:GetPolicy",
      # GetFunction returns the tags only with this permission. Without them, Terraform would set the tags at every apply.
      # https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
      "lambda:PublishVersion",
      "lambda:RemovePermission",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode",
      "lambda:UpdateFunctionConfiguration",
    ]
    resources = [local.function_arn, "${local.function_arn}:*"]
  }

  # API Gateway chooses the ID of the API. CreateStage with tags requires TagResource on /apis/ID/stages, which the
  # service authorization reference does not list: https://github.com/hashicorp/terraform-provider-aws/issues/20634
  statement {
    sid = "ManageApi"
    actions = [
      "apigateway:GET",
      "apigateway:PATCH",
      "apigateway:POST",
      "apigateway:PUT",
      "apigateway:TagResource",
      "apigateway:UntagResource",
    ]
    resources = [local.apis_arn, "${local.apis_arn}/*", "${local.arn}:apigateway:${var.region}::/tags/*"]
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

  statement {
    sid     = "DeleteApiParts"
    actions = ["apigateway:DELETE"]
    resources = concat(
      [for part in ["deployments", "integrations", "routes", "stages"] : "${local.apis_arn}/*/${part}/*"],
      ["${local.arn}:apigateway:${var.region}::/tags/*"],
    )
  }

  statement {
    sid = "ManageRoles"
    actions = [
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
    ]
    resources = values(local.passed_roles)
  }

  # When a stage is removed, its roles are. Before it deletes a role, the provider lists its instance profiles.
  statement {
    sid       = "DeleteReleaseRoles"
    actions   = ["iam:DeleteRole", "iam:ListInstanceProfilesForRole"]
    resources = [local.passed_roles.states, local.passed_roles.events]
  }

  dynamic "statement" {
    for_each = local.passed_roles

    content {
      sid       = "PassRoleTo${title(statement.key)}"
      actions   = ["iam:PassRole"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["${statement.key}.amazonaws.com"]
      }
    }
  }

  statement {
    sid = "ManageStateMachines"
    actions = [
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
    ]
    resources = ["${local.arn}:states:${var.region}:${local.account}:stateMachine:${local.machines}"]
  }

  statement {
    sid       = "ManageExecutions"
    actions   = ["states:DescribeExecution", "states:StopExecution"]
    resources = ["${local.arn}:states:${var.region}:${local.account}:execution:${local.machines}:*"]
  }

  statement {
    sid = "ManageRollbackRules"
    actions = [
      "events:DeleteRule",
      "events:DescribeRule",
      "events:ListTagsForResource",
      "events:ListTargetsByRule",
      "events:PutRule",
      "events:PutTargets",
      "events:RemoveTargets",
      "events:TagResource",
      "events:UntagResource",
    ]
    resources = ["${local.arn}:events:${var.region}:${local.account}:rule/${local.rollbacks}"]
  }

  statement {
    sid = "ManageAlarms"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:ListTagsForResource",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
    ]
    resources = ["${local.arn}:cloudwatch:${var.region}:${local.account}:alarm:${var.name}-*"]
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
    actions   = ["cloudwatch:GetDashboard", "cloudwatch:PutDashboard"]
    resources = ["${local.arn}:cloudwatch::${local.account}:dashboard/${var.name}"]
  }

  statement {
    sid = "ManageTopic"
    actions = [
      "sns:CreateTopic",
      "sns:GetTopicAttributes",
      "sns:ListTagsForResource",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:UntagResource",
    ]
    resources = [local.topic_arn]
  }

  # KMS chooses the ID of the key, so the service's tag identifies it.
  statement {
    sid       = "CreateTopicKey"
    actions   = ["kms:CreateKey", "kms:TagResource"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/Service"
      values   = [var.name]
    }
  }

  statement {
    sid = "ManageTopicKey"
    actions = [
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
    ]
    resources = [local.keys_arn]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Service"
      values   = [var.name]
    }
  }

  statement {
    sid       = "ManageTopicKeyAlias"
    actions   = ["kms:CreateAlias", "kms:UpdateAlias"]
    resources = [local.key_alias]
  }

  statement {
    sid = "ManageLogGroups"
    actions = [
      "logs:CreateLogGroup",
      "logs:ListTagsForResource",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = flatten(values(local.log_group_arns))
  }

  statement {
    sid       = "ManageMetricFilters"
    actions   = ["logs:DeleteMetricFilter", "logs:DescribeMetricFilters", "logs:PutMetricFilter"]
    resources = local.log_group_arns.function
  }

  statement {
    sid       = "DeleteStageLogGroups"
    actions   = ["logs:DeleteLogGroup"]
    resources = concat(local.log_group_arns.releases, local.log_group_arns.stages)
  }

  # The commands write the parameters, too: they freeze stages and steer releases.
  statement {
    sid = "ManageParameters"
    actions = [
      "ssm:AddTagsToResource",
      "ssm:DeleteParameter",
      "ssm:GetParameter",
      "ssm:ListTagsForResource",
      "ssm:PutParameter",
      "ssm:RemoveTagsFromResource",
    ]
    resources = ["${local.arn}:ssm:${var.region}:${local.account}:parameter/releases/${var.name}/*"]
  }

  # None of these actions has resource types, except those of SNS: a subscription's ARN ends in an ID that SNS chooses.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
  statement {
    sid = "UnscopedActions"
    actions = [
      "cloudwatch:DescribeAlarms",
      "cloudwatch:GetMetricData",
      "kms:ListAliases",
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DeleteQueryDefinition",
      "logs:DescribeLogGroups",
      "logs:DescribeQueryDefinitions",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutQueryDefinition",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
      "sns:GetSubscriptionAttributes",
      "sns:Unsubscribe",
      "ssm:DescribeParameters",
      "states:ValidateStateMachineDefinition",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role" "deploy" {
  count = local.deploys

  name               = "${var.name}-deploy"
  description        = "Role of GitHub Actions in ${var.github_repository.owner}/${var.github_repository.name}: deploy ${var.name}"
  assume_role_policy = data.aws_iam_policy_document.deploy_trust[0].json
}

resource "aws_iam_role_policy" "deploy" {
  count = local.deploys

  name   = "deploy"
  role   = aws_iam_role.deploy[0].name
  policy = data.aws_iam_policy_document.deploy.json
}
