variable "alias" {
  type        = string
  description = "Name of the alias that the stage calls."
  nullable    = false
}

variable "api_id" {
  type        = string
  description = "Id of the API."
  nullable    = false
}

variable "api_name" {
  type        = string
  description = "Name of the API."
  nullable    = false
}

variable "deployment" {
  type        = string
  description = "Name of the gateway deployment that the stage serves, or \"newest\" to follow the API's routes."
  nullable    = false

  validation {
    condition     = var.deployment == "newest" || contains(keys(var.deployments), var.deployment)
    error_message = "Stage ${var.name} is pinned to the gateway deployment \"${var.deployment}\", which is not in gateway_deployments. Pin it in config.tf to \"newest\" or to one of: ${join(", ", keys(var.deployments))}."
  }
}

variable "deployments" {
  type        = map(string)
  description = "Id of every gateway deployment by its name."
  nullable    = false
}

variable "log_retention_days" {
  type        = number
  description = "How long the access log is kept."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the stage."
  nullable    = false
}

variable "throttle" {
  type = object({
    burst               = number
    requests_per_second = number
  })
  description = "How many requests the stage takes, at once and per second, before it answers 429."
  nullable    = false
}
