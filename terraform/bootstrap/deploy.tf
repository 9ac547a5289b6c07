# What GitHub Actions deploys with: it changes the service, and can delete neither the function nor the API nor the state.
# Actions and resources: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

locals {
  github       = "token.actions.githubusercontent.com"
  deploys      = var.github_repository == null ? 0 : 1
  oidc_arn     = var.github_oidc_provider_arn != null ? var.github_oidc_provider_arn : one(aws_iam_openid_connect_provider.github[*].arn)
  function_arn = "${local.arn}:lambda:${var.region}:${local.account}:function:${var.name}"
  role_arn     = "${local.arn}:iam::${local.account}:role/${var.name}"
  apis_arn     = "${local.arn}:apigateway:${var.region}::/apis"
  logs_arn     = "${local.arn}:logs:${var.region}:${local.account}:log-group:"
  state_arn    = "${aws_s3_bucket.state.arn}/path-to-live.tfstate"
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_oidc_provider_arn == null ? local.deploys : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

# https://docs.github.com/en/actions/security-for-github-actions/security-hardening-your-deployments/configuring-openid-connect-in-amazon-web-services
data "aws_iam_policy_document" "deploy_trust" {
  count = local.deploys

  statement {
    sid     = "JobsInTheEnvironmentsOfTheStages"
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

    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values   = [for stage in sort(var.stages) : "repo:${var.github_repository}:environment:${stage}"]
    }
  }
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "FindTheState"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.state.arn]
  }

  statement {
    sid       = "ReadAndWriteTheState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [local.state_arn]
  }

  statement {
    sid       = "LockTheState"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.state_arn}.tflock"]
  }

  statement {
    sid = "PublishVersionsAndPointAliasesAtThem"
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
      "lambda:ListAliases",
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

  # The id of the API is AWS's choice.
  statement {
    sid       = "ReadAndChangeTheApi"
    actions   = ["apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
    resources = [local.apis_arn, "${local.apis_arn}/*", "${local.arn}:apigateway:${var.region}::/tags/*"]
  }

  statement {
    sid     = "DeleteWhatTheApiNoLongerHas"
    actions = ["apigateway:DELETE"]
    resources = concat(
      [for part in ["deployments", "integrations", "routes", "stages"] : "${local.apis_arn}/*/${part}/*"],
      ["${local.arn}:apigateway:${var.region}::/tags/*"],
    )
  }

  statement {
    sid = "KeepTheFunctionsRole"
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
    resources = [local.role_arn]
  }

  statement {
    sid       = "GiveTheFunctionItsRole"
    actions   = ["iam:PassRole"]
    resources = [local.role_arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["lambda.amazonaws.com"]
    }
  }

  statement {
    sid = "KeepTheLogGroups"
    actions = [
      "logs:CreateLogGroup",
      "logs:DeleteRetentionPolicy",
      "logs:ListTagsForResource",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = [for group in ["/aws/lambda/${var.name}", "/aws/apigateway/${var.name}/*"] : "${local.logs_arn}${group}"]
  }

  statement {
    sid       = "DeleteTheLogOfAStageThatIsGone"
    actions   = ["logs:DeleteLogGroup"]
    resources = ["${local.logs_arn}/aws/apigateway/${var.name}/*"]
  }

  # These know no resources.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
  statement {
    sid = "FindLogGroupsAndDeliverAccessLogs"
    actions = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role" "deploy" {
  count = local.deploys

  name               = "${var.name}-deploy"
  description        = "What GitHub Actions of ${var.github_repository} deploys ${var.name} with"
  assume_role_policy = data.aws_iam_policy_document.deploy_trust[0].json
}

resource "aws_iam_role_policy" "deploy" {
  count = local.deploys

  name   = "deploy"
  role   = aws_iam_role.deploy[0].name
  policy = data.aws_iam_policy_document.deploy.json
}
