output "target" {
  description = "Name that the DNS record of the domain points to, as CNAME or alias."
  value       = aws_apigatewayv2_domain_name.this.domain_name_configuration[0].target_domain_name
}

output "urls" {
  description = "URL of each stage, ending in a slash."
  value       = { for stage, mapping in aws_apigatewayv2_api_mapping.this : stage => join("/", concat(["https://${mapping.domain_name}"], compact([mapping.api_mapping_key]), [""])) }
}
