locals {
  function = provider::aws::arn_parse(var.function_arn)
  # arn:...:function:NAME
  function_name = trimprefix(local.function.resource, "function:")
  machine       = "${var.name}-${var.stage}-release"
  rollback      = "${var.name}-${var.stage}-rollback"
  arn           = "arn:${local.function.partition}:states:${local.function.region}:${local.function.account_id}:stateMachine:${local.machine}"

  # Known before the parameters are created, so that a plan shows the policy.
  parameter_arns = {
    for name in ["control", "rejected"] :
    name => "arn:${local.function.partition}:ssm:${local.function.region}:${local.function.account_id}:parameter/releases/${var.name}/${var.stage}/${name}"
  }

  # IAM has no pattern for digits, so match everything that starts with one.
  version_arns = [for digit in range(1, 10) : "${var.function_arn}:${digit}*"]

  # An execution ends after 25,000 events, and a look has 30 of them. Lambda sends metrics once a minute.
  # https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html
  look_seconds = 60 * ceil(var.settings.timeout_seconds / 43200)

  # How long a release can take, with all extensions. Each step waits until the metrics of its last minute are complete.
  wait_seconds    = local.look_seconds * (1 + ceil(var.settings.metrics_delay_seconds / local.look_seconds))
  longest_seconds = length(var.settings.steps) * (var.settings.step_seconds * (1 + var.settings.max_extensions) + local.wait_seconds) + (var.settings.bake_seconds > 0 ? var.settings.bake_seconds + local.wait_seconds : 0)

  # The input of a release that leaves everything out. Only version has no default.
  defaults = merge(
    { for name, value in var.settings : name => value if name != "timeout_seconds" },
    {
      ignore_alarms_reason    = ""
      ignore_freeze_reason    = ""
      ignore_rejection_reason = ""
      smoke_test              = true
      stage                   = var.stage
      version                 = ""
    },
  )

  # The metrics that a release analyzes, of the new version and of the one that it replaces. Those whose ids start with
  # "errors" are added up. The metrics of the whole function would dilute the errors of the new version.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  dimensions = {
    FunctionName    = local.function_name
    Resource        = "${local.function_name}:${var.stage}"
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

  # The input of a rollback starts with this, so that the rule can tell it from a release.
  rollback_input = "{\"rolls_back\":"

  # The errors with which the state machine itself fails an execution. Any other failure can leave weights on the alias.
  errors = [
    "Aborted",
    "AlarmFiring",
    "AlreadyRunning",
    "Frozen",
    "IncompatibleVersions",
    "InvalidInput",
    "NoSuchVersion",
    "NotStarted",
    "RejectedVersion",
    "ReleaseInProgress",
    "RolledBack",
    "SmokeTestFailed",
  ]
}

# The prefix avoids the size limit of the CloudWatch Logs resource policy, to which Step Functions adds log groups.
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/vendedlogs/states/${local.machine}"
  retention_in_days = var.log_retention_days
}

# Commands write what people ask of releases, and the state machine reads it: see release.asl.yaml.tftpl. Parameter Store
# has no conditional writes, so each parameter has one writer. A name must not start with aws or ssm, as a service's can.
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
resource "aws_ssm_parameter" "control" {
  name           = "/releases/${var.name}/${var.stage}/control"
  description    = "Requests for the stage ${var.stage} of ${var.name}: freeze the stage, skip a step, or hold, resume, or abort a release."
  type           = "String"
  insecure_value = "{}"

  lifecycle {
    ignore_changes = [insecure_value]
  }
}

resource "aws_ssm_parameter" "rejected" {
  name           = "/releases/${var.name}/${var.stage}/rejected"
  description    = "The last versions that were rolled back from ${var.stage} of ${var.name}. Written by its releases."
  type           = "String"
  insecure_value = "[]"

  lifecycle {
    ignore_changes = [insecure_value]
  }
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
  # The reference names the function as the resource of these actions, and AWS's guide the alias.
  # https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
  statement {
    sid       = "UpdateAlias"
    actions   = ["lambda:GetAlias", "lambda:UpdateAlias"]
    resources = [var.function_arn, "${var.function_arn}:${var.stage}"]
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
    sid       = "FindExecutions"
    actions   = ["states:DescribeExecution"]
    resources = ["${replace(local.arn, ":stateMachine:", ":execution:")}:*"]
  }

  statement {
    sid       = "ReadRequests"
    actions   = ["ssm:GetParameter"]
    resources = [local.parameter_arns.control, local.parameter_arns.rejected]
  }

  statement {
    sid       = "RejectVersions"
    actions   = ["ssm:PutParameter"]
    resources = [local.parameter_arns.rejected]
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
  name                 = local.machine
  description          = "Execution role of releases of ${var.stage} of ${var.name}: update its alias, read metrics and alarms, publish notifications."
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = "release"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.this.json
}

resource "aws_sfn_state_machine" "this" {
  name     = local.machine
  role_arn = aws_iam_role.this.arn
  definition = jsonencode(yamldecode(templatefile("${path.module}/release.asl.yaml.tftpl", {
    analyze         = jsonencode("{% ${file("${path.module}/analysis.jsonata")} %}")
    control         = aws_ssm_parameter.control.name
    defaults        = jsonencode(local.defaults)
    executions_url  = var.console_url == null ? "" : "${var.console_url}/states/home?region=${local.function.region}#/v2/executions/details/"
    function_name   = local.function_name
    look_seconds    = local.look_seconds
    metrics         = jsonencode(local.metrics)
    read_metrics    = jsonencode("{% ${file("${path.module}/metrics.jsonata")} %}")
    rejected        = aws_ssm_parameter.rejected.name
    smoke_tests     = jsonencode([for test in var.smoke_tests : merge(test, { route_key = coalesce(test.route_key, "ANY ${test.path}") })])
    stage           = jsonencode(var.stage)
    timeout_seconds = var.settings.timeout_seconds
    topic_arn       = var.topic_arn
    unhealthy_alarm = jsonencode(var.unhealthy_alarm)
  })))

  logging_configuration {
    include_execution_data = true
    level                  = "ALL"
    log_destination        = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  lifecycle {
    # Otherwise, the state machine would refuse every release that does not have settings of its own.
    precondition {
      condition     = local.longest_seconds < var.settings.timeout_seconds
      error_message = "A release of ${var.stage} can take ${local.longest_seconds} seconds, with all extensions of its steps, and times out after ${var.settings.timeout_seconds}. Increase timeout_seconds, or decrease step_seconds, max_extensions, or bake_seconds."
    }
  }

  # Without the policy, the first tasks of an early execution would fail.
  depends_on = [aws_iam_role_policy.this]
}

# An execution that is aborted or times out cannot roll back, because it runs no more states. The rule starts another
# execution, which removes its weights. A rollback starts no other one, however it ends. An event can lack the input,
# if it is too long.
# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
resource "aws_cloudwatch_event_rule" "rollback" {
  name        = local.rollback
  description = "Starts the rollback of releases of ${var.stage} that were aborted, timed out, or failed unexpectedly"
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [aws_sfn_state_machine.this.arn]
      input           = [null, { exists = false }, { anything-but = { prefix = local.rollback_input } }]
      "$or" = [
        { status = ["ABORTED", "TIMED_OUT"] },
        { status = ["FAILED"], error = [null, { exists = false }, { anything-but = local.errors }] },
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
  name                 = local.rollback
  description          = "Role of the rule ${local.rollback}: start rollbacks."
  assume_role_policy   = data.aws_iam_policy_document.rollback_trust.json
  permissions_boundary = var.permissions_boundary_arn
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

  # The rollback reads the alias, and needs nothing else of the event. EventBridge adds the quotation marks.
  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
  input_transformer {
    input_paths    = { name = "$.detail.name", status = "$.detail.status" }
    input_template = "${local.rollback_input}<name>,\"status\":<status>}"
  }
}
