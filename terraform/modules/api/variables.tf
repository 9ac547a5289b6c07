variable "default_endpoint" {
  type        = bool
  description = "Whether the API has its default endpoint, https://ID.execute-api.REGION.amazonaws.com, next to custom domains."
  default     = true
  nullable    = false
}

variable "deployments" {
  type        = list(string)
  description = "Names of the gateway deployments. Each holds the routes that the API had when its name was added."
  nullable    = false

  validation {
    condition     = alltrue([for name in var.deployments : can(regex("^[A-Za-z0-9_.-]{1,64}$", name)) && name != "newest"])
    error_message = "gateway_deployments must contain names of 1 to 64 letters, digits, dots, hyphens, and underscores, other than \"newest\"."
  }

  validation {
    condition     = length(distinct(var.deployments)) == length(var.deployments)
    error_message = "gateway_deployments must contain each name only once."
  }
}

variable "function_arn" {
  type        = string
  description = "ARN of the function, without a qualifier."
  nullable    = false
}

variable "function_invoke_arn" {
  type        = string
  description = "ARN that API Gateway uses to invoke the function."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the API."
  nullable    = false
}

variable "routes" {
  type        = set(string)
  description = "Route keys, such as \"GET /items\". API Gateway sends all of these routes to the function."
  nullable    = false
}
