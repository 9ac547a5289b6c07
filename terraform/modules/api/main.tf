locals {
  payload_format_version = "2.0"
  # Identifies the configuration that a deployment freezes, and fits in the deployment's description. It comes from the
  # resources, so that a refresh does not announce routes that are not deployed.
  routes_fingerprint = substr(sha256(jsonencode(concat(
    [
      aws_apigatewayv2_integration.this.payload_format_version,
      sort([for route in aws_apigatewayv2_route.this : route.route_key]),
    ],
    # A stage loses the default endpoint when it gets a deployment that was created afterwards.
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-disable-default-endpoint.html
    aws_apigatewayv2_api.this.disable_execute_api_endpoint == true ? ["no default endpoint"] : [],
  ))), 0, 12)
}

resource "aws_apigatewayv2_api" "this" {
  name                         = var.name
  description                  = "Path to Live"
  disable_execute_api_endpoint = !var.default_endpoint
  protocol_type                = "HTTP"
}

resource "aws_apigatewayv2_integration" "this" {
  api_id           = aws_apigatewayv2_api.this.id
  integration_type = "AWS_PROXY"
  # API Gateway reads the alias from the stage variable on every request.
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

# A deployment holds the routes that exist when it is created: its description depends on them.
resource "aws_apigatewayv2_deployment" "this" {
  for_each = toset(var.deployments)

  api_id      = aws_apigatewayv2_api.this.id
  description = "${each.value} ${local.routes_fingerprint}"

  lifecycle {
    # API Gateway deletes a deployment only when no stage uses it.
    create_before_destroy = true
    # The description identifies the routes at creation: a deployment never changes.
    ignore_changes = [description]
  }
}
