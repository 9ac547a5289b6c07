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
  description = "Metrics that count failures of the function apart from Lambda's own metric Errors, such as responses with an error status. In the values of dimensions, {version} is replaced."
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

variable "name" {
  type        = string
  description = "Name of the service. The name of the state machine starts with it."
  nullable    = false
}

variable "permissions_boundary_arn" {
  type        = string
  description = "ARN of the permissions boundary of the roles of the state machine and the rule. With null, the roles have none."
  default     = null
}

variable "settings" {
  type = object({
    bake_seconds          = optional(number, 900)
    hold                  = optional(bool, false)
    max_error_rate        = optional(number, 0.01)
    max_extensions        = optional(number, 2)
    max_p99_ms            = optional(number, 1000)
    metrics_delay_seconds = optional(number, 60)
    min_invocations       = optional(number, 50)
    on_inconclusive       = optional(string, "rollback")
    step_seconds          = optional(number, 300)
    steps                 = optional(list(number), [0.1, 0.5])
    timeout_seconds       = optional(number, 21600)
  })
  description = "Settings of releases. Each release can have others, except timeout_seconds, after which a release is rolled back. steps are weights of the new version, from 0 to 1; each is held for step_seconds. For bake_seconds, the release watches the new version with all traffic. With hold, a release or promotion waits for approval before any traffic shifts. max_error_rate, from 0 to 1, and max_p99_ms are the limits of the analysis, which needs min_invocations per step and ignores metrics of the last metrics_delay_seconds. An inconclusive step is extended max_extensions times; then on_inconclusive applies: rollback, promote, or hold."
  default     = {}
  nullable    = false

  validation {
    condition     = var.settings.bake_seconds >= 0 && var.settings.bake_seconds % 60 == 0
    error_message = "Releases of ${var.stage}: bake_seconds must be 0 or a multiple of 60."
  }

  validation {
    condition     = var.settings.max_error_rate >= 0 && var.settings.max_error_rate <= 1
    error_message = "Releases of ${var.stage}: max_error_rate must be from 0 to 1."
  }

  validation {
    condition     = var.settings.max_extensions >= 0 && var.settings.max_extensions <= 100 && floor(var.settings.max_extensions) == var.settings.max_extensions
    error_message = "Releases of ${var.stage}: max_extensions must be a whole number from 0 to 100."
  }

  validation {
    condition     = var.settings.max_p99_ms >= 1 && var.settings.max_p99_ms <= 900000
    error_message = "Releases of ${var.stage}: max_p99_ms must be from 1 to 900000."
  }

  validation {
    condition     = var.settings.metrics_delay_seconds >= 0 && var.settings.metrics_delay_seconds <= 900 && floor(var.settings.metrics_delay_seconds) == var.settings.metrics_delay_seconds
    error_message = "Releases of ${var.stage}: metrics_delay_seconds must be a whole number from 0 to 900."
  }

  validation {
    condition     = var.settings.min_invocations >= 1 && var.settings.min_invocations <= 1000000000 && floor(var.settings.min_invocations) == var.settings.min_invocations
    error_message = "Releases of ${var.stage}: min_invocations must be a whole number of at least 1."
  }

  validation {
    condition     = contains(["rollback", "promote", "hold"], var.settings.on_inconclusive)
    error_message = "Releases of ${var.stage}: on_inconclusive must be rollback, promote, or hold."
  }

  validation {
    condition     = var.settings.step_seconds >= 60 && var.settings.step_seconds % 60 == 0
    error_message = "Releases of ${var.stage}: step_seconds must be a multiple of 60."
  }

  validation {
    condition     = alltrue([for i, step in var.settings.steps : step >= 0.0001 && step <= 0.9999 && step > (i == 0 ? 0 : var.settings.steps[max(i - 1, 0)])])
    error_message = "Releases of ${var.stage}: steps must be increasing weights between 0 and 1, such as [0.1, 0.5]."
  }

  # The history of an execution has at most 25,000 events, and a release on hold adds about 15,000 a day.
  # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
  validation {
    condition     = var.settings.timeout_seconds >= 60 && var.settings.timeout_seconds <= 86400 && floor(var.settings.timeout_seconds) == var.settings.timeout_seconds
    error_message = "Releases of ${var.stage}: timeout_seconds must be a whole number from 60 to 86400 (one day)."
  }
}

variable "smoke_tests" {
  type = list(object({
    json      = optional(map(string), {})
    path      = optional(string, "/")
    route_key = optional(string)
    status    = optional(number, 200)
    text      = optional(string, "")
  }))
  description = "GET requests to the new version before it has traffic, which must return status. The body must contain text and, if it is JSON, the values of json by their paths, such as { \"function.version\" = \"{version}\" }. {version} is replaced. The route key is \"ANY \" and the path, unless it is given."
  default     = [{}]
  nullable    = false

  validation {
    condition     = alltrue([for test in var.smoke_tests : can(regex("^/[^?#]*$", test.path))])
    error_message = "The paths of smoke_tests must start with /, and have no query."
  }

  validation {
    condition     = alltrue([for test in var.smoke_tests : test.status >= 100 && test.status <= 599])
    error_message = "The statuses of smoke_tests must be from 100 to 599."
  }
}

variable "stage" {
  type        = string
  description = "Name of the stage, which is also the name of its alias."
  nullable    = false

  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
  validation {
    condition     = length("${var.name}-${var.stage}-rollback") <= 64
    error_message = "The name of the role ${var.name}-${var.stage}-rollback would exceed 64 characters. Choose a shorter name for the stage, the service, or the workspace: the names of the service and the stage can have ${64 - length("--rollback")} characters together."
  }
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

variable "unhealthy_alarm" {
  type        = string
  description = "Name of the composite alarm of the stage. A release is refused while it fires, and rolls back if it starts to fire."
  nullable    = false
}
