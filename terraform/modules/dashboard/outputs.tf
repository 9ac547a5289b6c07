output "name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "queries" {
  description = "Names of the saved queries of Logs Insights."
  value       = [for query in aws_cloudwatch_query_definition.this : query.name]
}
