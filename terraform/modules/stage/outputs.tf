output "url" {
  description = "URL of the stage, ending in a slash."
  value       = "${aws_apigatewayv2_stage.this.invoke_url}/"
}
