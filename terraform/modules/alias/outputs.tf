output "function_version" {
  description = "Version that the alias points to."
  value       = aws_lambda_alias.this.function_version
}

output "name" {
  description = "Name of the alias."
  value       = aws_lambda_alias.this.name

  # Callers that use this name need the permission first.
  depends_on = [aws_lambda_permission.this]
}
