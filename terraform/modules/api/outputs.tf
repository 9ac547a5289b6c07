output "deployment_routes" {
  description = "Of every gateway deployment by its name: a fingerprint of the routes that it holds."
  value       = { for name, deployment in aws_apigatewayv2_deployment.this : name => trimprefix(deployment.description, "${name} ") }
}

output "deployments" {
  description = "Id of every gateway deployment by its name."
  value       = { for name, deployment in aws_apigatewayv2_deployment.this : name => deployment.id }
}

output "execution_arn" {
  description = "What the ARNs of the API's calls start with."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.this.id
}

output "routes_fingerprint" {
  description = "Fingerprint of the API's routes as they are now."
  value       = local.routes_fingerprint

  # A stage with this fingerprint must find the routes there.
  depends_on = [aws_apigatewayv2_route.this]
}
