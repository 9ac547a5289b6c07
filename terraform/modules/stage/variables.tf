variable "alias" {
  type        = string
  description = "Name of the alias that the stage invokes."
  nullable    = false
}

variable "api_id" {
  type        = string
  description = "ID of the API."
  nullable    = false
}

variable "api_name" {
  type        = string
  description = "Name of the API."
  nullable    = false
}

variable "deployment" {
  type        = string
  description = "Name of the gateway deployment that the stage serves, or \"newest\" to follow the API's current routes."
  nullable    = false

  validation {
    condition     = var.deployment == "newest" || contains(keys(var.deployments), var.deployment)
    error_message = "Stage ${var.name} is pinned to the gateway deployment \"${var.deployment}\", which is not in gateway_deployments. In config.tf, pin the stage to \"newest\" or to one of: ${join(", ", keys(var.deployments))}."
  }
}

variable "deployments" {
  type        = map(string)
  description = "ID of each gateway deployment, by name."
  nullable    = false
}

variable "log_retention_days" {
  type        = number
  description = "Retention of the access logs, in days."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the stage."
  nullable    = false
}

variable "throttle" {
  type = object({
    burst               = optional(number, 1000)
    requests_per_second = optional(number, 500)
  })
  description = "Throttling limits of the stage. API Gateway responds with 429 to requests above them."
  default     = {}
  nullable    = false

  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
  validation {
    condition     = var.throttle.burst >= 1 && var.throttle.requests_per_second >= 1
    error_message = "Stage ${var.name}: the throttling limits burst and requests_per_second must be at least 1. With 0, the stage would reject every request."
  }
}
