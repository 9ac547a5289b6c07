variable "function_arn" {
  type        = string
  description = "ARN of the function, without a qualifier."
  nullable    = false
}

variable "log_retention_days" {
  type        = number
  description = "How long the log of the releases is kept."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the service; the name of the state machine starts with it."
  nullable    = false

  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
  validation {
    condition     = length(var.name) <= 46
    error_message = "\"${var.name}\" is too long a name: that of the role ${var.name}-release-roll-back must have at most 64 characters. Choose a shorter workspace name."
  }
}

variable "timeout_seconds" {
  type        = number
  description = "How long a release may take; one that takes longer is rolled back."
  nullable    = false
}

variable "topic_arn" {
  type        = string
  description = "ARN of the topic that hears how releases end."
  nullable    = false
}

variable "unhealthy_alarms" {
  type        = map(string)
  description = "Name of the composite alarm of every stage."
  nullable    = false
}
