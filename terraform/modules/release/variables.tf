variable "bake_seconds" {
  type        = number
  description = "How long a release watches the new version after all traffic has been shifted to it, in seconds. With 0, it does not. A release can have another value."
  default     = 900
  nullable    = false

  validation {
    condition     = var.bake_seconds >= 0 && var.bake_seconds % 60 == 0
    error_message = "bake_seconds must be 0 or a multiple of 60."
  }
}

variable "console_url" {
  type        = string
  description = "URL of the AWS Management Console of the partition, such as https://console.aws.amazon.com. Notifications link to their execution there. With null, they contain no link to it."
  default     = null
}

variable "error_metrics" {
  type = list(object({
    namespace  = string
    name       = string
    dimensions = map(string)
  }))
  description = "Metrics that count failures of the function apart from Lambda's own metric Errors, such as responses with an error status. In the values of dimensions, {stage} and {version} are replaced."
  default     = []
  nullable    = false

  # The metrics of three hours must fit into the output of a state.
  # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
  validation {
    condition     = length(var.error_metrics) <= 4
    error_message = "error_metrics can have at most 4 metrics."
  }
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

variable "metrics_delay_seconds" {
  type        = number
  description = "How long after the end of a minute its metrics can still be incomplete, in seconds. A release ignores newer metrics."
  default     = 60
  nullable    = false

  validation {
    condition     = var.metrics_delay_seconds >= 0 && var.metrics_delay_seconds <= 900
    error_message = "metrics_delay_seconds must be from 0 to 900."
  }
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

variable "topic_key_arn" {
  type        = string
  description = "ARN of the customer managed KMS key that encrypts the topic. With null, the topic has none."
  default     = null
}

variable "unhealthy_alarms" {
  type        = map(string)
  description = "Name of the composite alarm of each stage."
  nullable    = false
}
