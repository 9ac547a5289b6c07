output "function_version" {
  description = "The version that the alias points at."
  value       = aws_lambda_alias.this.function_version
}

output "name" {
  description = "Name of the alias."
  value       = aws_lambda_alias.this.name

  # Who calls by this name must be allowed to.
  depends_on = [aws_lambda_permission.this]
}
