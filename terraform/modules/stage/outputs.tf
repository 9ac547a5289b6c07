output "log_group_name" {
  description = "Name of the log group of the access log."
  value       = aws_cloudwatch_log_group.access.name
}

output "name" {
  description = "Name of the stage."
  value       = aws_apigatewayv2_stage.this.name
}

output "url" {
  description = "URL of the stage, ending in a slash."
  value       = "${aws_apigatewayv2_stage.this.invoke_url}/"
}
