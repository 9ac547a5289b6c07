variable "artifact" {
  type        = string
  description = "Path of the deployment package (.zip) that `make build` creates."
  nullable    = false
}

variable "log_level" {
  type        = string
  description = "Lowest level that the function logs: DEBUG, INFO, WARNING, or ERROR."
  nullable    = false
}

variable "log_retention_days" {
  type        = number
  description = "Retention of the function's logs, in days."
  nullable    = false
}

variable "memory_megabytes" {
  type        = number
  description = "Memory of the function, in megabytes. CPU grows in proportion to memory."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the function, its role, and its log group."
  nullable    = false

  # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "\"${var.name}\" is not a valid function name. Use at most 64 letters, digits, hyphens, and underscores: choose a shorter or simpler workspace name."
  }
}

variable "permissions_boundary_arn" {
  type        = string
  description = "ARN of the permissions boundary of the function's role. With null, the role has none."
  default     = null
}

variable "timeout_seconds" {
  type        = number
  description = "Timeout of an invocation, in seconds."
  nullable    = false
}

variable "update_code" {
  type        = bool
  description = "Whether the function gets the code of the artifact. Without it, an existing function keeps its code."
  default     = true
  nullable    = false
}
