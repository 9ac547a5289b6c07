variable "api_id" {
  type        = string
  description = "ID of the API."
  nullable    = false
}

variable "base_paths" {
  type        = map(string)
  description = "Base path of each stage that the domain serves, by the name of the stage. An empty base path is the root of the domain."
  nullable    = false

  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
  validation {
    condition     = alltrue([for path in values(var.base_paths) : length(path) <= 300 && can(regex("^([A-Za-z0-9$_.+!*'()-]+(/[A-Za-z0-9$_.+!*'()-]+)*)?$", path))])
    error_message = "Domain ${var.name}: a base path must have at most 300 characters: letters, digits, and $-_.+!*'(). Separate its parts with single slashes, as in orders/v1. It must not start or end with a slash."
  }

  validation {
    condition     = length(distinct(values(var.base_paths))) == length(var.base_paths)
    error_message = "Domain ${var.name}: the stages ${join(", ", keys(var.base_paths))} share it, so each needs a base path of its own. One of them can have the root of the domain, without a base path."
  }
}

variable "certificate_arn" {
  type        = string
  description = "ARN of an ACM certificate for the domain, in the Region of the API. Without one, the module requests a certificate, and validates it in the hosted zone."
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:[^:]+:acm:[^:]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$", var.certificate_arn))
    error_message = "Domain ${var.name}: certificate_arn must be the ARN of an ACM certificate, such as arn:aws:acm:eu-west-2:111122223333:certificate/1234abcd-12ab-34cd-56ef-1234567890ab."
  }
}

variable "hosted_zone_id" {
  type        = string
  description = "ID of the public Route 53 hosted zone for the records of the domain. Without one, the module creates no records."
  default     = null

  # https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetHostedZone.html
  validation {
    condition     = var.hosted_zone_id == null || can(regex("^[A-Z0-9]{1,32}$", var.hosted_zone_id))
    error_message = "Domain ${var.name}: hosted_zone_id must be the ID of a hosted zone, such as Z0123456789ABCDEFGHIJ."
  }

  validation {
    condition     = var.hosted_zone_id != null || var.certificate_arn != null
    error_message = "Domain ${var.name} needs a hosted_zone_id, a certificate_arn, or both. With a hosted zone alone, Terraform requests a certificate and validates it there. With a certificate alone, you create the DNS record of the domain."
  }
}

variable "name" {
  type        = string
  description = "Domain name, such as api.example.com."
  nullable    = false

  # API Gateway supports lowercase names only, and Route 53 changes others to lowercase, which would be a change in every plan.
  validation {
    condition     = length(var.name) <= 253 && can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?[.])+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.name))
    error_message = "\"${var.name}\" is not a valid domain. Use a name in lowercase without a scheme, a path, or a wildcard, such as api.example.com."
  }
}
