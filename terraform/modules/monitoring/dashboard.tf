locals {
  # A row of four widgets for each stage, on a grid of 24 columns.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
  rows = sort(var.stages)

  widgets = concat(flatten([
    for row, stage in local.rows : [
      {
        type   = "metric"
        x      = 0
        y      = row * 6
        width  = 6
        height = 6
        properties = {
          title   = "${stage}: invocations by version"
          region  = local.function.region
          stat    = "Sum"
          period  = local.period_seconds
          view    = "timeSeries"
          stacked = true
          metrics = [[{
            expression = "SEARCH('{AWS/Lambda,ExecutedVersion,FunctionName,Resource} FunctionName=\"${var.name}\" Resource=\"${var.name}:${stage}\" MetricName=\"Invocations\"', 'Sum', ${local.period_seconds})"
            id         = "invocations"
            label      = "version $${PROP('Dim.ExecutedVersion')}"
          }]]
        }
      },
      {
        type   = "metric"
        x      = 6
        y      = row * 6
        width  = 6
        height = 6
        properties = {
          title  = "${stage}: errors and throttles"
          region = local.function.region
          stat   = "Sum"
          period = local.period_seconds
          view   = "timeSeries"
          metrics = [
            for metric in ["Errors", "Throttles"] :
            ["AWS/Lambda", metric, "FunctionName", var.name, "Resource", "${var.name}:${stage}"]
          ]
        }
      },
      {
        type   = "metric"
        x      = 12
        y      = row * 6
        width  = 6
        height = 6
        properties = {
          title  = "${stage}: duration (ms)"
          region = local.function.region
          period = local.period_seconds
          view   = "timeSeries"
          metrics = [
            for statistic in ["p50", "p90", "p99"] :
            ["AWS/Lambda", "Duration", "FunctionName", var.name, "Resource", "${var.name}:${stage}", { stat = statistic, label = statistic }]
          ]
        }
      },
      {
        type   = "metric"
        x      = 18
        y      = row * 6
        width  = 6
        height = 6
        properties = {
          title  = "${stage}: requests, 4xx, and 5xx"
          region = local.function.region
          stat   = "Sum"
          period = local.period_seconds
          view   = "timeSeries"
          metrics = [
            for metric in ["Count", "4xx", "5xx"] :
            ["AWS/ApiGateway", metric, "ApiId", var.api_id, "Stage", stage]
          ]
        }
      },
    ]
    ]), [
    {
      type   = "alarm"
      x      = 0
      y      = length(local.rows) * 6
      width  = 24
      height = 4
      properties = {
        title = "Alarms"
        alarms = concat(
          [for stage in local.rows : aws_cloudwatch_composite_alarm.unhealthy[stage].arn],
          flatten([for stage in local.rows : local.alarms[stage][*].arn]),
        )
      }
    },
    {
      type   = "log"
      x      = 0
      y      = length(local.rows) * 6 + 4
      width  = 24
      height = 6
      properties = {
        title  = "Recent errors"
        region = local.function.region
        view   = "table"
        query  = "SOURCE '${var.log_group_name}' | fields @timestamp, stage, version, route, error, `request_id`, @message | filter level = 'ERROR' or @message like /Task timed out|Runtime\\./ | sort @timestamp desc | limit 20"
      }
    },
  ])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = local.widgets })
}
