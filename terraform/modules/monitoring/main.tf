locals {
  function = provider::aws::arn_parse(var.function_arn)

  # Of an alias alone: the whole function's figures would be diluted by what other stages run.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  dimensions = {
    for stage in var.stages : stage => {
      function = { FunctionName = var.name, Resource = "${var.name}:${stage}" }
      api      = { ApiId = var.api_id, Stage = stage }
    }
  }

  # Two bad minutes out of three: one alone may be chance, and waiting for three in a row would take longer.
  period_seconds      = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 2
}

# An alarm can publish to an encrypted topic only where the key's own policy lets it, so the key cannot be AWS's.
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
data "aws_iam_policy_document" "key" {
  # Without the account among those who may change it, a key could never be changed or deleted again.
  # https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
  statement {
    sid = "TheAccountKeepsTheKey"
    actions = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.function.partition}:iam::${local.function.account_id}:root"]
    }
  }

  statement {
    sid       = "AlarmsPublishToTheTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.function.account_id]
    }
  }

  statement {
    sid       = "TheReleaseEnginePublishesToTheTopic"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [var.publisher_role_arn]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "Encrypts the topic ${var.name}-alerts"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}-alerts"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alerts"
  kms_master_key_id = aws_kms_key.this.arn
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "AlarmsOfTheStagesPublish"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for alarm in values(aws_cloudwatch_composite_alarm.unhealthy) : alarm.arn]
    }
  }

  statement {
    sid       = "TheReleaseEnginePublishes"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "AWS"
      identifiers = [var.publisher_role_arn]
    }
  }

  # Whatever rights others have by their own policies.
  statement {
    sid       = "NobodyElsePublishes"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [var.publisher_role_arn]
    }

    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalisawsservice
    condition {
      test     = "Bool"
      variable = "aws:PrincipalIsAWSService"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.topic.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "error_rate" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-error-rate"
  alarm_description   = "Calls of the stage ${each.key} end in an error of the function. ${var.runbook}#error-rate"
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = local.evaluation_periods
  datapoints_to_alarm = local.datapoints_to_alarm
  threshold           = var.alarms.error_rate_percent
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "error_rate"
    label       = "Error rate (%)"
    expression  = "IF(calls >= ${var.alarms.min_calls}, 100 * errors / calls, 0)"
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Errors"
      dimensions  = each.value.function
      period      = local.period_seconds
      stat        = "Sum"
    }
  }

  metric_query {
    id = "calls"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Invocations"
      dimensions  = each.value.function
      period      = local.period_seconds
      stat        = "Sum"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "duration" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-duration"
  alarm_description   = "One call of the stage ${each.key} in a hundred takes too long. ${var.runbook}#duration"
  namespace           = "AWS/Lambda"
  metric_name         = "Duration"
  dimensions          = each.value.function
  extended_statistic  = "p99"
  period              = local.period_seconds
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = local.evaluation_periods
  datapoints_to_alarm = local.datapoints_to_alarm
  threshold           = var.alarms.duration_p99_milliseconds
  treat_missing_data  = "notBreaching"
  # The slowest of a handful of calls says nothing of one in a hundred.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
  evaluate_low_sample_count_percentiles = "ignore"
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-throttles"
  alarm_description   = "Lambda refuses calls of the stage ${each.key}: too many at once. ${var.runbook}#throttles"
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = each.value.function
  statistic           = "Sum"
  period              = local.period_seconds
  comparison_operator = "GreaterThanOrEqualToThreshold"
  evaluation_periods  = local.evaluation_periods
  datapoints_to_alarm = local.datapoints_to_alarm
  threshold           = var.alarms.throttles
  treat_missing_data  = "notBreaching"
}

resource "aws_cloudwatch_metric_alarm" "api_5xx_rate" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-api-5xx-rate"
  alarm_description   = "API Gateway answers requests to the stage ${each.key} with errors of 500 and more. ${var.runbook}#api-5xx-rate"
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = local.evaluation_periods
  datapoints_to_alarm = local.datapoints_to_alarm
  threshold           = var.alarms.api_5xx_rate_percent
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "api_5xx_rate"
    label       = "5xx rate (%)"
    expression  = "IF(calls >= ${var.alarms.min_calls}, 100 * errors / calls, 0)"
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/ApiGateway"
      metric_name = "5xx"
      dimensions  = each.value.api
      period      = local.period_seconds
      stat        = "Sum"
    }
  }

  metric_query {
    id = "calls"

    metric {
      namespace   = "AWS/ApiGateway"
      metric_name = "Count"
      dimensions  = each.value.api
      period      = local.period_seconds
      stat        = "Sum"
    }
  }
}

# What people hear of, and releases look at: one word for each stage, not one for each of its alarms.
resource "aws_cloudwatch_composite_alarm" "unhealthy" {
  for_each = local.dimensions

  alarm_name        = "${var.name}-${each.key}-unhealthy"
  alarm_description = "Something is wrong with the stage ${each.key}. ${var.runbook}#unhealthy"
  alarm_actions     = [aws_sns_topic.this.arn]
  ok_actions        = [aws_sns_topic.this.arn]
  alarm_rule = join(" OR ", [
    for alarm in [
      aws_cloudwatch_metric_alarm.error_rate[each.key],
      aws_cloudwatch_metric_alarm.duration[each.key],
      aws_cloudwatch_metric_alarm.throttles[each.key],
      aws_cloudwatch_metric_alarm.api_5xx_rate[each.key],
    ] : "ALARM(\"${alarm.alarm_name}\")"
  ])
}
