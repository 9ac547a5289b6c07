variable "alarms" {
  type = object({
    api_5xx_rate_percent      = optional(number, 1)
    duration_p99_milliseconds = optional(number, 1000)
    error_rate_percent        = optional(number, 1)
    min_calls                 = optional(number, 20)
    throttles                 = optional(number, 1)
  })
  description = "From where on a minute of a stage is a bad one: two out of three make an alarm. Rates are judged in minutes with at least min_calls calls."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for rate in [var.alarms.api_5xx_rate_percent, var.alarms.error_rate_percent] : rate >= 0 && rate < 100])
    error_message = "alarms.api_5xx_rate_percent and alarms.error_rate_percent must be from 0 to less than 100: no rate is above that."
  }

  validation {
    condition     = alltrue([for least in [var.alarms.duration_p99_milliseconds, var.alarms.min_calls, var.alarms.throttles] : least >= 1])
    error_message = "alarms.duration_p99_milliseconds, alarms.min_calls and alarms.throttles must be at least 1."
  }
}

variable "alert_emails" {
  type        = set(string)
  description = "Addresses that hear of alarms and releases; AWS asks each to confirm."
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alert_emails must be addresses such as on-call@example.com."
  }
}

variable "function" {
  type = object({
    log_level        = optional(string, "INFO")
    memory_megabytes = optional(number, 128)
    timeout_seconds  = optional(number, 5)
  })
  description = "The Lambda function: the level from which it logs, its memory, and how long a call may take."
  default     = {}
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], var.function.log_level)
    error_message = "function.log_level must be DEBUG, INFO, WARNING, ERROR or CRITICAL."
  }

  validation {
    condition     = var.function.memory_megabytes >= 128 && var.function.memory_megabytes <= 10240 && floor(var.function.memory_megabytes) == var.function.memory_megabytes
    error_message = "function.memory_megabytes must be a whole number from 128 to 10240."
  }

  # API Gateway gives up after 30 seconds: a longer call would be paid for and thrown away.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
  validation {
    condition     = var.function.timeout_seconds >= 1 && var.function.timeout_seconds <= 29 && floor(var.function.timeout_seconds) == var.function.timeout_seconds
    error_message = "function.timeout_seconds must be a whole number from 1 to 29."
  }
}

variable "log_retention_days" {
  type        = number
  description = "How long the logs of the function and of every stage are kept."
  default     = 30
  nullable    = false

  # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "name" {
  type        = string
  description = "Name of the service; names of its resources start with it."
  default     = "path-to-live"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,31}$", var.name))
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "pins" {
  type = map(object({
    function_version   = optional(string)
    gateway_deployment = optional(string)
  }))
  description = "Pins that apply instead of those in config.tf, by stage. `make` passes what each stage runs, so that only the stages that are meant to move do."
  default     = {}
  nullable    = false
}

variable "region" {
  type        = string
  description = "AWS region of everything."
  default     = "eu-west-2"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the code of an AWS region, such as eu-west-2."
  }
}

variable "release_timeout_seconds" {
  type        = number
  description = "How long a release may take; one that takes longer is rolled back."
  default     = 21600
  nullable    = false

  # An execution has at most 25,000 events, and a release that holds writes about 20,000 a day.
  # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
  validation {
    condition     = var.release_timeout_seconds >= 60 && var.release_timeout_seconds <= 86400 && floor(var.release_timeout_seconds) == var.release_timeout_seconds
    error_message = "release_timeout_seconds must be a whole number from 60 to 86400, a day."
  }
}

variable "runbook" {
  type        = string
  description = "Where the runbook is, such as the URL of docs/runbook.md in your repository: alarms link to its headings."
  default     = "docs/runbook.md"
  nullable    = false
}

variable "tags" {
  type        = map(string)
  description = "Tags of every resource, beside Service."
  default     = {}
  nullable    = false

  # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && length(key) >= 1 && length(key) <= 128])
    error_message = "tags must have keys of 1 to 128 characters that do not start with aws:, which is AWS's own."
  }
}

variable "throttles" {
  type = map(object({
    burst               = number
    requests_per_second = number
  }))
  description = "How many requests a stage takes before it answers 429, by stage. One that is not named takes 10 per second, 20 at once."
  default = {
    dev  = { burst = 50, requests_per_second = 25 }
    test = { burst = 50, requests_per_second = 25 }
    live = { burst = 1000, requests_per_second = 500 }
  }
  nullable = false

  validation {
    condition     = alltrue([for stage in keys(var.throttles) : contains(keys(local.stages), stage)])
    error_message = "throttles must name stages of config.tf: ${join(", ", keys(local.stages))}."
  }

  validation {
    condition     = alltrue([for throttle in values(var.throttles) : throttle.burst >= 1 && throttle.requests_per_second >= 1])
    error_message = "throttles must allow at least one request at once and one per second: 0 would close the stage."
  }
}
