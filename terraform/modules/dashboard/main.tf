locals {
  function      = provider::aws::arn_parse(var.function_arn)
  function_name = trimprefix(local.function.resource, "function:")
  region        = local.function.region

  period_seconds = 60
  limit_color    = "#d62728"

  # The last stage of the path comes first, because it serves the clients, and then the others, back to the first one.
  rows = reverse(var.stages)

  # The grid has 24 columns. The first 16 of its rows are the first screen: alarms, the last stage, and releases.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
  head_height   = 4
  row_height    = 6
  releases_y    = local.head_height + local.row_height
  errors_y      = local.releases_y + (length(var.releases) > 0 ? local.row_height : 0)
  others_y      = local.errors_y + local.row_height
  stage_y       = [for row, stage in local.rows : row == 0 ? local.head_height : local.others_y + (row - 1) * local.row_height]
  release_logs  = [for release in var.releases : release.log_group_name]
  machine_names = [for release in var.releases : element(split(":", release.state_machine_arn), 6)]

  # Each version has metrics of its invocations through an alias. A search also finds the versions of later releases.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
  function_schema = "{AWS/Lambda,ExecutedVersion,FunctionName,Resource} FunctionName=\"${local.function_name}\""
  version_label   = "version $${PROP('Dim.ExecutedVersion')}"

  # Lambda publishes Errors as 0 or 1 for each invocation, so that the average is the error rate. Metric math cannot divide
  # the results of two searches.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#invocation-metrics
  # https://github.com/turbot/steampipe-plugin-aws/pull/625
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html#metric-math-syntax
  searches = {
    for stage in var.stages : stage.name => {
      for id, metric in {
        invocations = ["Invocations", "Sum"]
        error_share = ["Errors", "Average"]
        p99         = ["Duration", "p99"]
        } : id => {
        expression = "SEARCH('${local.function_schema} Resource=\"${local.function_name}:${stage.name}\" MetricName=\"${metric[0]}\"', '${metric[1]}', ${local.period_seconds})"
        id         = id
        label      = local.version_label
      }
    }
  }

  # A namespace can contain characters that need quotes.
  error_responses = {
    for stage in var.stages : stage.name => {
      expression = "SEARCH('{\"${var.error_responses_metric.namespace}\",alias,version} alias=\"${stage.name}\" MetricName=\"${var.error_responses_metric.name}\"', 'Sum', ${local.period_seconds})"
      id         = "error_responses"
      label      = "responses of version $${PROP('Dim.version')}"
      yAxis      = "right"
    }
  }

  limits = {
    for stage in var.stages : stage.name => {
      for kind, unit in { api_5xx_rate = "%", duration = "ms", error_rate = "%" } : kind => {
        horizontal = [{
          label = "limit of the alarm ${replace(kind, "_", "-")} (${var.alarms[stage.name][kind].threshold} ${unit})"
          value = var.alarms[stage.name][kind].threshold
          color = local.limit_color
        }]
      }
    }
  }

  head = [
    {
      type   = "alarm"
      x      = 0
      y      = 0
      width  = 16
      height = local.head_height
      properties = {
        title  = "Alarms: those that fire come first"
        alarms = flatten([for stage in local.rows : [for alarm in values(var.alarms[stage.name]) : alarm.arn]])
        sortBy = "stateUpdatedTimestamp"
      }
    },
    {
      type   = "text"
      x      = 16
      y      = 0
      width  = 8
      height = local.head_height
      properties = {
        markdown = join("\n\n", compact([
          "**${var.name}**: ${join(" → ", [for stage in var.stages : "[${stage.name}](${stage.url})"])}",
          join(" · ", compact([
            var.runbook == null ? "" : "[Runbook](${var.runbook})",
            var.console_url == null ? "" : "[Saved queries](${var.console_url}/cloudwatch/home?region=${local.region}#logsV2:logs-insights)",
            join(" · ", [
              for i, release in var.releases : "[Releases: ${local.machine_names[i]}](${var.console_url}/states/home?region=${local.region}#/statemachines/view/${release.state_machine_arn})"
              if var.console_url != null
            ]),
          ])),
          "Red lines are the limits of alarms. Saved queries: `${var.name}/`",
        ]))
      }
    },
  ]

  stages = flatten([
    for row, stage in local.rows : [
      for column, properties in [
        {
          title = "${stage.name}: error rate by version (%)"
          metrics = [
            [merge(local.searches[stage.name].error_share, { visible = false })],
            # An empty label keeps the labels of the versions.
            [{ expression = "100 * error_share", id = "rate", label = "" }],
          ]
          yAxis       = { left = { min = 0, showUnits = false } }
          annotations = local.limits[stage.name].error_rate
        },
        {
          title = "${stage.name}: responses of 5xx (%), and their number by version"
          metrics = [
            [{ expression = "100 * errors / requests", id = "rate", label = "5xx rate of the API" }],
            ["AWS/ApiGateway", "5xx", "ApiId", var.api_id, "Stage", stage.name, { id = "errors", stat = "Sum", visible = false }],
            ["AWS/ApiGateway", "Count", "ApiId", var.api_id, "Stage", stage.name, { id = "requests", stat = "Sum", visible = false }],
            [local.error_responses[stage.name]],
          ]
          yAxis       = { left = { min = 0, showUnits = false }, right = { min = 0, showUnits = false } }
          annotations = local.limits[stage.name].api_5xx_rate
        },
        {
          title       = "${stage.name}: p99 duration by version (ms)"
          metrics     = [[local.searches[stage.name].p99]]
          yAxis       = { left = { min = 0, showUnits = false } }
          annotations = local.limits[stage.name].duration
        },
        {
          title   = "${stage.name}: invocations by version"
          stacked = true
          metrics = concat([[local.searches[stage.name].invocations]], [
            ["AWS/Lambda", "Throttles", "FunctionName", local.function_name, "Resource", "${local.function_name}:${stage.name}", { stat = "Sum", label = "throttled invocations", yAxis = "right" }],
            ["AWS/ApiGateway", "4xx", "ApiId", var.api_id, "Stage", stage.name, { stat = "Sum", label = "responses of 4xx", yAxis = "right" }],
          ])
          yAxis = { left = { min = 0, showUnits = false }, right = { min = 0, showUnits = false } }
        },
        ] : {
        type   = "metric"
        x      = column * 6
        y      = local.stage_y[row]
        width  = 6
        height = local.row_height
        properties = merge(properties, {
          region = local.region
          period = local.period_seconds
          view   = "timeSeries"
        })
      }
    ]
  ])

  # Annotations are fixed times, so they cannot mark releases. The executions of the state machine are on the same time
  # axis as the graphs above.
  # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
  releases = [
    {
      type   = "metric"
      x      = 0
      y      = local.releases_y
      width  = 6
      height = local.row_height
      properties = {
        title  = "Releases, promotions, and rollbacks"
        region = local.region
        period = local.period_seconds
        stat   = "Sum"
        view   = "timeSeries"
        metrics = flatten([
          for i, release in var.releases : [
            for metric, label in { ExecutionsStarted = "started", ExecutionsSucceeded = "succeeded", ExecutionsFailed = "rolled back or refused", ExecutionsAborted = "aborted", ExecutionsTimedOut = "timed out" } :
            { metric = ["AWS/States", metric, "StateMachineArn", release.state_machine_arn, { label = length(var.releases) == 1 ? label : "${local.machine_names[i]}: ${label}" }] }
          ]
        ])[*].metric
        yAxis = { left = { min = 0, showUnits = false } }
      }
    },
    {
      type   = "log"
      x      = 6
      y      = local.releases_y
      width  = 18
      height = local.row_height
      properties = {
        title  = "Recent releases, promotions, and rollbacks"
        region = local.region
        view   = "table"
        query  = join(" | ", concat([for group in local.release_logs : "SOURCE '${group}'"], [local.queries["releases"]]))
      }
    },
  ]

  errors = [
    {
      type   = "log"
      x      = 0
      y      = local.errors_y
      width  = 24
      height = local.row_height
      properties = {
        title  = "Recent errors"
        region = local.region
        view   = "table"
        query  = "SOURCE '${var.log_group_name}' | ${local.queries["errors"]}"
      }
    },
  ]

  widgets = concat(local.head, local.stages, [for widget in local.releases : widget if length(var.releases) > 0], local.errors)
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = local.widgets })
}
