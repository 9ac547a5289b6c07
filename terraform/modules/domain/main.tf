locals {
  certificate_arn = var.certificate_arn == null ? aws_acm_certificate_validation.this[0].certificate_arn : var.certificate_arn
  validation      = var.certificate_arn == null ? one(aws_acm_certificate.this[0].domain_validation_options) : null
}

resource "aws_acm_certificate" "this" {
  count = var.certificate_arn == null ? 1 : 0

  domain_name       = var.name
  validation_method = "DNS"

  lifecycle {
    # ACM does not delete a certificate that a domain name uses.
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  count = var.certificate_arn == null ? 1 : 0

  # Every certificate of the account for this name has the same record, so it can exist. ACM renews certificates by it.
  # https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
  allow_overwrite = true
  name            = local.validation.resource_record_name
  records         = [local.validation.resource_record_value]
  ttl             = 300
  type            = local.validation.resource_record_type
  zone_id         = var.hosted_zone_id
}

resource "aws_acm_certificate_validation" "this" {
  count = var.certificate_arn == null ? 1 : 0

  certificate_arn         = aws_acm_certificate.this[0].arn
  validation_record_fqdns = aws_route53_record.validation[*].fqdn
}

resource "aws_apigatewayv2_domain_name" "this" {
  domain_name = var.name

  domain_name_configuration {
    certificate_arn = local.certificate_arn
    endpoint_type   = "REGIONAL"
    # TLS 1.2 and 1.3: the only policy for HTTP APIs.
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-custom-domain-tls-version.html
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  for_each = var.base_paths

  api_id          = var.api_id
  api_mapping_key = each.value
  domain_name     = aws_apigatewayv2_domain_name.this.domain_name
  stage           = each.key
}

resource "aws_route53_record" "alias" {
  count = var.hosted_zone_id == null ? 0 : 1

  name    = var.name
  type    = "A"
  zone_id = var.hosted_zone_id

  alias {
    evaluate_target_health = false
    name                   = aws_apigatewayv2_domain_name.this.domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.this.domain_name_configuration[0].hosted_zone_id
  }

  # A name that does not exist yet can stay unknown to a resolver for minutes, and one without a mapping returns errors.
  depends_on = [aws_apigatewayv2_api_mapping.this]
}
