variable "console_url" {
  type        = string
  description = "URL of the AWS Management Console of the partition, such as https://console.aws.amazon.com. Notifications link to their execution there. With null, they contain no link to it."
  default     = null
}

variable "function_arn" {
  type        = string
  description = "ARN of the function, without a qualifier."
  nullable    = false
}

variable "log_retention_days" {
  type        = number
  description = "Retention of the logs of releases, in days."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the service. The name of the state machine starts with it."
  nullable    = false

  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
  validation {
    condition     = length(var.name) <= 47
    error_message = "\"${var.name}\" is too long a name: the role ${var.name}-release-rollback would exceed 64 characters. Choose a shorter workspace name."
  }
}

variable "timeout_seconds" {
  type        = number
  description = "Timeout of a release, in seconds. A release that exceeds it is rolled back."
  nullable    = false
}

variable "topic_arn" {
  type        = string
  description = "ARN of the SNS topic that receives the notifications of releases."
  nullable    = false
}

variable "unhealthy_alarms" {
  type        = map(string)
  description = "Name of the composite alarm of each stage."
  nullable    = false
}
