locals {
  function = provider::aws::arn_parse(var.function_arn)
  stages   = keys(var.unhealthy_alarms)
  # arn:...:function:NAME
  function_name = trimprefix(local.function.resource, "function:")
  arn           = "arn:${local.function.partition}:states:${local.function.region}:${local.function.account_id}:stateMachine:${var.name}-release"

  # IAM has no pattern for digits, so match everything that starts with one.
  version_arns = [for digit in range(1, 10) : "${var.function_arn}:${digit}*"]

  # An execution ends after 25,000 events, and a look has 20 of them. Lambda sends metrics once a minute.
  # https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html
  look_seconds = 60 * ceil(var.timeout_seconds / 60000)

  # The metrics that a release analyzes, of the new version and of the one that it replaces. Those whose ids start with
  # "errors" are added up. The metrics of the whole function would dilute the errors of the new version.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  dimensions = {
    FunctionName    = local.function_name
    Resource        = "${local.function_name}:{stage}"
    ExecutedVersion = "{version}"
  }
  metrics = concat(
    [
      { id = "invocations", namespace = "AWS/Lambda", name = "Invocations", dimensions = local.dimensions, statistic = "Sum" },
      { id = "errors", namespace = "AWS/Lambda", name = "Errors", dimensions = local.dimensions, statistic = "Sum" },
      # The number of invocations that took longer.
      # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
      { id = "slow", namespace = "AWS/Lambda", name = "Duration", dimensions = local.dimensions, statistic = "TC({max_p99_ms}:)" },
    ],
    [for i, metric in var.error_metrics : merge(metric, { id = "errors_${i}", statistic = "Sum" })],
  )

  # The errors with which the state machine itself fails an execution. Any other failure can leave weights on the alias.
  errors = [
    "AlarmFiring",
    "AlreadyRunning",
    "InvalidInput",
    "NoSuchVersion",
    "NotStarted",
    "ReleaseInProgress",
    "RolledBack",
    "SmokeTestFailed",
  ]
}

# The prefix avoids the size limit of the CloudWatch Logs resource policy, to which Step Functions adds log groups.
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/vendedlogs/states/${var.name}-release"
  retention_in_days = var.log_retention_days
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "StepFunctionsAssumeRole"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.arn]
    }
  }
}

# Actions and resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
data "aws_iam_policy_document" "this" {
  statement {
    sid       = "UpdateAliases"
    actions   = ["lambda:GetAlias", "lambda:UpdateAlias"]
    resources = concat([var.function_arn], [for stage in local.stages : "${var.function_arn}:${stage}"])
  }

  statement {
    sid       = "ReadVersions"
    actions   = ["lambda:GetFunctionConfiguration"]
    resources = concat([var.function_arn], local.version_arns)
  }

  statement {
    sid       = "InvokeVersions"
    actions   = ["lambda:InvokeFunction"]
    resources = local.version_arns
  }

  # GetMetricData has no resource types. DescribeAlarms returns composite alarms only if it is allowed on all resources.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
  statement {
    sid       = "ReadMetricsAndAlarms"
    actions   = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"]
    resources = ["*"]
  }

  statement {
    sid       = "PublishNotifications"
    actions   = ["sns:Publish"]
    resources = [var.topic_arn]
  }

  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse
  dynamic "statement" {
    for_each = var.topic_key_arn[*]

    content {
      sid       = "EncryptNotifications"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  # These actions have no resource types: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
  statement {
    sid = "DeliverLogs"
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

resource "aws_iam_role" "this" {
  name               = "${var.name}-release"
  description        = "Execution role of releases of ${var.name}: update aliases, read metrics and alarms, publish notifications."
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "this" {
  name   = "release"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_sfn_state_machine" "this" {
  name     = "${var.name}-release"
  role_arn = aws_iam_role.this.arn
  definition = jsonencode(yamldecode(templatefile("${path.module}/release.asl.yaml.tftpl", {
    analyze               = jsonencode("{% ${file("${path.module}/analysis.jsonata")} %}")
    bake_seconds          = var.bake_seconds
    executions_url        = var.console_url == null ? "" : "${var.console_url}/states/home?region=${local.function.region}#/v2/executions/details/"
    function_name         = local.function_name
    look_seconds          = local.look_seconds
    metrics               = jsonencode(local.metrics)
    metrics_delay_seconds = var.metrics_delay_seconds
    read_metrics          = jsonencode("{% ${file("${path.module}/metrics.jsonata")} %}")
    timeout_seconds       = var.timeout_seconds
    topic_arn             = var.topic_arn
    unhealthy_alarms      = jsonencode(var.unhealthy_alarms)
  })))

  logging_configuration {
    include_execution_data = true
    level                  = "ALL"
    log_destination        = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  # Without the policy, the first tasks of an early execution would fail.
  depends_on = [aws_iam_role_policy.this]
}

# An execution that is aborted or times out cannot roll back, because it runs no more states. The rule starts another
# execution, which removes its weights.
# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
resource "aws_cloudwatch_event_rule" "rollback" {
  name        = "${var.name}-release-rollback"
  description = "Starts the rollback of releases that were aborted, timed out, or failed unexpectedly"
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [aws_sfn_state_machine.this.arn]
      "$or" = [
        { status = ["ABORTED", "TIMED_OUT"] },
        { status = ["FAILED"], error = [{ anything-but = local.errors }] },
      ]
    }
  })
}

data "aws_iam_policy_document" "rollback_trust" {
  statement {
    sid     = "EventBridgeAssumeRole"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.rollback.arn]
    }
  }
}

data "aws_iam_policy_document" "rollback" {
  statement {
    sid       = "StartRollback"
    actions   = ["states:StartExecution"]
    resources = [aws_sfn_state_machine.this.arn]
  }
}

resource "aws_iam_role" "rollback" {
  name               = "${var.name}-release-rollback"
  description        = "Role of the rule ${var.name}-release-rollback: start rollbacks."
  assume_role_policy = data.aws_iam_policy_document.rollback_trust.json
}

resource "aws_iam_role_policy" "rollback" {
  name   = "rollback"
  role   = aws_iam_role.rollback.name
  policy = data.aws_iam_policy_document.rollback.json
}

resource "aws_cloudwatch_event_target" "rollback" {
  rule     = aws_cloudwatch_event_rule.rollback.name
  arn      = aws_sfn_state_machine.this.arn
  role_arn = aws_iam_role.rollback.arn
}

# States of earlier configurations have other addresses.
moved {
  from = aws_cloudwatch_event_rule.roll_back
  to   = aws_cloudwatch_event_rule.rollback
}

moved {
  from = aws_cloudwatch_event_target.roll_back
  to   = aws_cloudwatch_event_target.rollback
}

moved {
  from = aws_iam_role.roll_back
  to   = aws_iam_role.rollback
}

moved {
  from = aws_iam_role_policy.roll_back
  to   = aws_iam_role_policy.rollback
}
