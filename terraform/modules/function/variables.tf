variable "artifact" {
  type        = string
  description = "Path of the zip that `make build` makes."
  nullable    = false
}

variable "log_level" {
  type        = string
  description = "Level from which the function logs: DEBUG, INFO, WARNING, ERROR or CRITICAL."
  nullable    = false
}

variable "log_retention_days" {
  type        = number
  description = "How long the function's log is kept."
  nullable    = false
}

variable "memory_megabytes" {
  type        = number
  description = "Memory of the function; its share of a processor grows with it."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the function, its role and its log group."
  nullable    = false

  # https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "\"${var.name}\" cannot name a function: at most 64 letters, digits, hyphens and underscores. Choose a shorter or simpler workspace name."
  }
}

variable "timeout_seconds" {
  type        = number
  description = "How long a call may take."
  nullable    = false
}
