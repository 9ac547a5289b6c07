resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${var.api_name}/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_apigatewayv2_stage" "this" {
  api_id          = var.api_id
  name            = var.name
  description     = "Invokes the alias ${var.alias}"
  auto_deploy     = var.deployment == "newest"
  deployment_id   = var.deployment == "newest" ? null : var.deployments[var.deployment]
  stage_variables = { lambdaAlias = var.alias }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
    format = jsonencode({
      time               = "$context.requestTime"
      requestId          = "$context.requestId"
      sourceIp           = "$context.identity.sourceIp"
      userAgent          = "$context.identity.userAgent"
      method             = "$context.httpMethod"
      path               = "$context.path"
      routeKey           = "$context.routeKey"
      stage              = "$context.stage"
      status             = "$context.status"
      responseLength     = "$context.responseLength"
      latencyMs          = "$context.responseLatency"
      lambdaRequestId    = "$context.integration.requestId"
      lambdaStatus       = "$context.integration.status"
      lambdaLatencyMs    = "$context.integration.latency"
      errorMessage       = "$context.error.message"
      lambdaErrorMessage = "$context.integrationErrorMessage"
    })
  }

  default_route_settings {
    throttling_burst_limit = var.throttle.burst
    throttling_rate_limit  = var.throttle.requests_per_second
  }
}
