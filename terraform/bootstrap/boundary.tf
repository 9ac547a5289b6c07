# What the roles of the service itself can do at most: those of the function, of releases, and of rollbacks. A role that
# changes them must keep the boundary, so it can grant them nothing else. A boundary itself grants nothing. It includes the
# copies of the service in workspaces, whose names continue with a hyphen: they have the same variables.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html

locals {
  boundary_name = "${var.name}-boundary"
  # Composed, so that a plan shows the policies that name it.
  boundary_arn = "${local.arn}:iam::${local.account}:policy/${local.boundary_name}"
  topic_arns   = [local.topic_arn, "${local.arn}:sns:${var.region}:${local.account}:${var.name}-*-alerts"]
}

data "aws_iam_policy_document" "boundary" {
  # The function.
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.function_log_group_arn}:*", "${local.function_log_group_arn}-*"]
  }

  # Releases of every stage.
  statement {
    sid = "ReleaseVersions"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunctionConfiguration",
      "lambda:InvokeFunction",
      "lambda:UpdateAlias",
    ]
    resources = concat(local.function_arns, ["${local.function_arn}-*"])
  }

  statement {
    sid       = "FindExecutions"
    actions   = ["states:DescribeExecution"]
    resources = [local.executions_arn]
  }

  statement {
    sid       = "ReadRequests"
    actions   = ["ssm:GetParameter"]
    resources = ["${local.parameters_arn}/*", "${local.parameters_arn}-*"]
  }

  statement {
    sid       = "RejectVersions"
    actions   = ["ssm:PutParameter"]
    resources = ["${local.parameters_arn}/*/rejected", "${local.parameters_arn}-*/rejected"]
  }

  statement {
    sid       = "PublishNotifications"
    actions   = ["sns:Publish"]
    resources = local.topic_arns
  }

  # KMS chooses the ID of the key. SNS names the topic whenever it uses the key.
  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse
  statement {
    sid       = "EncryptNotifications"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [local.keys_arn]

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:sns:topicArn"
      values   = local.topic_arns
    }
  }

  # None of these actions has resource types, except DescribeAlarms, which returns composite alarms only if it is allowed
  # on all resources.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
  # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
  statement {
    sid = "UnscopedActions"
    actions = concat(
      ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"],
      local.log_delivery_actions,
    )
    resources = ["*"]
  }

  # Rollbacks.
  statement {
    sid       = "StartRollbacks"
    actions   = ["states:StartExecution"]
    resources = [local.machines_arn]
  }

  dynamic "statement" {
    for_each = var.function_permissions

    content {
      sid       = "Function${statement.key}"
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_policy" "boundary" {
  name        = local.boundary_name
  description = "Permissions boundary of the roles of ${var.name} in ${var.region}"
  policy      = data.aws_iam_policy_document.boundary.json

  lifecycle {
    # AWS refuses to delete the boundary of a role that exists.
    prevent_destroy = true
  }
}
