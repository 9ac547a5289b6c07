locals {
  function = provider::aws::arn_parse(var.function_arn)

  # Metrics of one alias: those of the whole function would include the other stages.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  dimensions = {
    for stage in var.stages : stage => {
      function = { FunctionName = var.name, Resource = "${var.name}:${stage}" }
      api      = { ApiId = var.api_id, Stage = stage }
    }
  }

  # The end of each alarm description, by heading of the runbook.
  links = {
    for heading in ["api-5xx-rate", "duration", "error-rate", "throttles", "total-failure", "unhealthy"] : heading => join("", [
      var.runbook == null ? "" : " Runbook: ${var.runbook}#${heading}",
      var.console_url == null ? "" : " Dashboard: ${var.console_url}/cloudwatch/home?region=${local.function.region}#dashboards:name=${var.name}",
    ])
  }

  # Two of three periods: a single breach can be chance, and three in a row would take longer.
  period_seconds      = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 2

  # Wilson's lower bound of a rate, in percent, at z = 2.33, a confidence of 99 % (z^2 = 5.4289): the rate of a few
  # invocations is chance. At least 2 errors, because the bound of one error in ten invocations is above 1 %.
  # https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
  # With parentheses, the expression does not depend on the precedence of ^.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
  rate_bound = "IF(errors >= 2, 100 * (errors + 5.4289 / 2 - 2.33 * ((errors * (1 - errors / total) + 5.4289 / 4) ^ 0.5)) / (total + 5.4289), 0)"

  # The alarms of each stage that make it unhealthy.
  alarms = {
    for stage in var.stages : stage => [
      aws_cloudwatch_metric_alarm.error_rate[stage],
      aws_cloudwatch_metric_alarm.total_failure[stage],
      aws_cloudwatch_metric_alarm.duration[stage],
      aws_cloudwatch_metric_alarm.throttles[stage],
      aws_cloudwatch_metric_alarm.api_5xx_rate[stage],
    ]
  }
}

resource "aws_cloudwatch_metric_alarm" "error_rate" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-error-rate"
  alarm_description   = "The function's error rate in the stage ${each.key} is above ${var.alarms.error_rate_percent} %, and not by chance.${local.links["error-rate"]}"
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = local.evaluation_periods
  datapoints_to_alarm = local.datapoints_to_alarm
  threshold           = var.alarms.error_rate_percent
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "rate"
    label       = "Error rate: lower bound (%)"
    expression  = local.rate_bound
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", total = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = each.value.function
        period      = local.period_seconds
        stat        = "Sum"
      }
    }
  }
}

# Finds a stage that fails with one invocation a minute: the error rate needs two errors a minute.
resource "aws_cloudwatch_metric_alarm" "total_failure" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-total-failure"
  alarm_description   = "Every invocation of the function in the stage ${each.key} failed: at least 3 in 5 minutes.${local.links["total-failure"]}"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  evaluation_periods  = 1
  datapoints_to_alarm = 1
  threshold           = 100
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "rate"
    label       = "Error rate of at least 3 invocations (%)"
    expression  = "IF(total >= 3, 100 * errors / total, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", total = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = each.value.function
        period      = 300
        stat        = "Sum"
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "duration" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-duration"
  alarm_description   = "The function's p99 duration in the stage ${each.key} is above ${var.alarms.duration_p99_milliseconds} ms.${local.links["duration"]}"
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
  # With few data points, p99 is the slowest invocation, and not significant.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
  evaluate_low_sample_count_percentiles = "ignore"
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  for_each = local.dimensions

  alarm_name          = "${var.name}-${each.key}-throttles"
  alarm_description   = "Lambda throttles invocations in the stage ${each.key}: concurrency is at its limit.${local.links["throttles"]}"
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
  alarm_description   = "The API's 5xx rate in the stage ${each.key} is above ${var.alarms.api_5xx_rate_percent} %, and not by chance.${local.links["api-5xx-rate"]}"
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = local.evaluation_periods
  datapoints_to_alarm = local.datapoints_to_alarm
  threshold           = var.alarms.api_5xx_rate_percent
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "rate"
    label       = "5xx rate: lower bound (%)"
    expression  = local.rate_bound
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "5xx", total = "Count" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApiGateway"
        metric_name = metric_query.value
        dimensions  = each.value.api
        period      = local.period_seconds
        stat        = "Sum"
      }
    }
  }
}

# The only alarm of a stage that notifies people, and the one that releases read.
resource "aws_cloudwatch_composite_alarm" "unhealthy" {
  for_each = local.dimensions

  alarm_name        = "${var.name}-${each.key}-unhealthy"
  alarm_description = "The stage ${each.key} is unhealthy: at least one of its alarms fires.${local.links["unhealthy"]}"
  alarm_actions     = [var.topic_arn]
  ok_actions        = [var.topic_arn]
  alarm_rule        = join(" OR ", [for alarm in local.alarms[each.key] : "ALARM(\"${alarm.alarm_name}\")"])
}
