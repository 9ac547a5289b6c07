locals {
  payload_format_version = "2.0"
  # What a deployment freezes, short enough for its description.
  routes_fingerprint = substr(sha256(jsonencode([local.payload_format_version, sort(var.routes)])), 0, 12)
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "Path to Live"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "this" {
  api_id           = aws_apigatewayv2_api.this.id
  integration_type = "AWS_PROXY"
  # The stage decides at every request which alias it calls.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-stages.stage-variables-reference.html
  integration_uri        = replace(var.function_invoke_arn, var.function_arn, "${var.function_arn}:$${stageVariables.lambdaAlias}")
  payload_format_version = local.payload_format_version
}

resource "aws_apigatewayv2_route" "this" {
  for_each = var.routes

  api_id    = aws_apigatewayv2_api.this.id
  route_key = each.value
  target    = "integrations/${aws_apigatewayv2_integration.this.id}"
}

resource "aws_apigatewayv2_deployment" "this" {
  for_each = toset(var.deployments)

  api_id      = aws_apigatewayv2_api.this.id
  description = "${each.value} ${local.routes_fingerprint}"

  lifecycle {
    # A stage must have left a deployment before that can be deleted.
    create_before_destroy = true
    # It tells the routes of then: a deployment never changes.
    ignore_changes = [description]
  }

  # A deployment holds the routes that exist when it is made.
  depends_on = [aws_apigatewayv2_route.this]
}
