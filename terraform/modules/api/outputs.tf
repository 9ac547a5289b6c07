output "deployment_routes" {
  description = "Routes fingerprint of each gateway deployment, by name."
  value       = { for name, deployment in aws_apigatewayv2_deployment.this : name => trimprefix(deployment.description, "${name} ") }
}

output "deployments" {
  description = "ID of each gateway deployment, by name."
  value       = { for name, deployment in aws_apigatewayv2_deployment.this : name => deployment.id }
}

output "execution_arn" {
  description = "Execution ARN of the API: the prefix of the ARNs of its stages."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "id" {
  description = "ID of the API."
  value       = aws_apigatewayv2_api.this.id
}

output "routes_fingerprint" {
  description = "Fingerprint of the API's current routes."
  value       = local.routes_fingerprint
}
