variable "alarms" {
  type = object({
    api_5xx_rate_percent      = optional(number, 1)
    duration_p99_milliseconds = optional(number, 1000)
    error_rate_percent        = optional(number, 1)
    throttles                 = optional(number, 1)
  })
  description = "Alarm thresholds. An alarm fires when 2 of 3 one-minute periods breach. A rate breaches if its lower confidence bound is above the threshold."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for rate in [var.alarms.api_5xx_rate_percent, var.alarms.error_rate_percent] : rate >= 0 && rate < 100])
    error_message = "alarms.api_5xx_rate_percent and alarms.error_rate_percent must be at least 0 and less than 100. No rate exceeds 100, so the alarm would never fire."
  }

  validation {
    condition     = alltrue([for least in [var.alarms.duration_p99_milliseconds, var.alarms.throttles] : least >= 1])
    error_message = "alarms.duration_p99_milliseconds and alarms.throttles must be at least 1."
  }
}

variable "alert_emails" {
  type        = set(string)
  description = "Email addresses to notify of alarms and releases. AWS asks each address to confirm its subscription."
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alert_emails must be email addresses, such as on-call@example.com."
  }
}

variable "default_endpoint" {
  type        = bool
  description = "Whether the API has its default endpoint, https://ID.execute-api.REGION.amazonaws.com. All stages share it: set this to false when every stage has a domain, and no client uses the endpoint anymore. A stage loses it with its next gateway deployment."
  default     = true
  nullable    = false

  validation {
    condition     = var.default_endpoint || length(setsubtract(keys(local.stages), keys(var.domains))) == 0
    error_message = "default_endpoint can be false only if every stage has a domain. Without the endpoint, these stages would have no URL: ${join(", ", setsubtract(keys(local.stages), keys(var.domains)))}. Add them to domains."
  }
}

variable "domains" {
  type = map(object({
    base_path       = optional(string, "")
    certificate_arn = optional(string)
    hosted_zone_id  = optional(string)
    name            = string
  }))
  description = "Custom domain by stage, such as { live = { name = \"api.example.com\", hosted_zone_id = \"Z0123456789ABCDEFGHIJ\" } }. Terraform requests a certificate, unless certificate_arn names one, and creates the DNS records in the hosted zone. Stages can share a domain if each has a base path of its own. A stage without an entry has the URL of the default endpoint. Workspaces have no domains."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for stage in keys(var.domains) : contains(keys(local.stages), stage)])
    error_message = "domains has entries for stages that config.tf does not have: ${join(", ", [for stage in keys(var.domains) : stage if !contains(keys(local.stages), stage)])}. The stages of config.tf are ${join(", ", keys(local.stages))}. If you have renamed or removed a stage, change domains, too."
  }

  # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-regional-api-custom-domain-create.html
  validation {
    condition     = alltrue([for domain in values(var.domains) : domain.certificate_arn == null || can(regex(":acm:${var.region}:", domain.certificate_arn))])
    error_message = "certificate_arn in domains must be a certificate in the Region of the API, ${var.region}. API Gateway uses no certificate of another Region for a Regional domain."
  }

  validation {
    condition     = length(distinct([for domain in values(var.domains) : domain.name])) == length(distinct([for domain in values(var.domains) : merge(domain, { base_path = "" })]))
    error_message = "Stages that share a domain must have the same certificate_arn and hosted_zone_id in domains."
  }
}

variable "function" {
  type = object({
    log_level        = optional(string, "INFO")
    memory_megabytes = optional(number, 128)
    timeout_seconds  = optional(number, 5)
  })
  description = "Settings of the Lambda function: lowest log level, memory, and timeout of an invocation."
  default     = {}
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.function.log_level)
    error_message = "function.log_level must be DEBUG, INFO, WARNING, or ERROR."
  }

  validation {
    condition     = var.function.memory_megabytes >= 128 && var.function.memory_megabytes <= 10240 && floor(var.function.memory_megabytes) == var.function.memory_megabytes
    error_message = "function.memory_megabytes must be a whole number from 128 to 10240."
  }

  # API Gateway times out after 30 seconds: you would pay for the rest of a longer invocation, and no client would get
  # its response.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
  validation {
    condition     = var.function.timeout_seconds >= 1 && var.function.timeout_seconds <= 29 && floor(var.function.timeout_seconds) == var.function.timeout_seconds
    error_message = "function.timeout_seconds must be a whole number from 1 to 29."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "ARN of a KMS key that encrypts the topic of notifications, for accounts whose keys are managed elsewhere. `make bootstrap` can create one. docs/terraform.md has the statements that its key policy needs. Without one, Terraform creates a key."
  default     = null
}

variable "log_retention_days" {
  type        = number
  description = "Retention of the logs of the function, the stages, and the releases, in days."
  default     = 30
  nullable    = false

  # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a retention period that CloudWatch Logs supports: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, or 3653."
  }
}

variable "name" {
  type        = string
  description = "Name of the service. The names of its resources start with it."
  default     = "path-to-live"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,31}$", var.name))
    error_message = "name must be 2 to 32 lowercase letters, digits, and hyphens, and start with a letter."
  }
}

variable "permissions_boundary_arn" {
  type        = string
  description = "ARN of the permissions boundary of every role that Terraform creates for the service. `make bootstrap` creates one. The roles of GitHub Actions can create and change only roles that have it. With null, the roles have none."
  default     = null

  # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[^:]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of a managed policy, such as arn:aws:iam::111122223333:policy/path-to-live-boundary."
  }
}

variable "pins" {
  type = map(object({
    function_version   = optional(string)
    gateway_deployment = optional(string)
  }))
  description = "Pins by stage, which override those in config.tf. The commands pass the version and the gateway deployment that each stage runs now, so that only the intended stages move."
  default     = {}
  nullable    = false
}

variable "region" {
  type        = string
  description = "AWS Region of all resources."
  default     = "eu-west-2"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the code of an AWS Region, such as eu-west-2."
  }
}

variable "releases" {
  type = map(object({
    bake_seconds          = optional(number)
    hold                  = optional(bool)
    max_error_rate        = optional(number)
    max_extensions        = optional(number)
    max_p99_ms            = optional(number)
    metrics_delay_seconds = optional(number)
    min_invocations       = optional(number)
    on_inconclusive       = optional(string)
    step_seconds          = optional(number)
    steps                 = optional(list(number))
    timeout_seconds       = optional(number)
  }))
  description = "Settings of releases by stage, such as { live = { bake_seconds = 1800 } }. A setting that an entry leaves out, and a stage without an entry, have the defaults of modules/release. Each release can have other settings, except timeout_seconds, after which a release is rolled back."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for stage in keys(var.releases) : contains(keys(local.stages), stage)])
    error_message = "releases has entries for stages that config.tf does not have: ${join(", ", [for stage in keys(var.releases) : stage if !contains(keys(local.stages), stage)])}. The stages of config.tf are ${join(", ", keys(local.stages))}. If you have renamed or removed a stage, change releases, too."
  }
}

variable "runbook" {
  type        = string
  description = "URL of docs/runbook.md in your repository, such as https://github.com/octocat/hello/blob/main/docs/runbook.md. Alarm descriptions link to its headings. Without a URL, they contain no link to it."
  default     = null

  validation {
    condition     = var.runbook == null || can(regex("^https?://[^\\s#]+$", var.runbook))
    error_message = "runbook must be a URL without a fragment, such as https://github.com/octocat/hello/blob/main/docs/runbook.md."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of all resources, in addition to Service."
  default     = {}
  nullable    = false

  # https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && length(key) >= 1 && length(key) <= 128])
    error_message = "tags must have keys of 1 to 128 characters that do not start with aws:, a prefix that AWS reserves."
  }
}

variable "throttles" {
  type = map(object({
    burst               = optional(number)
    requests_per_second = optional(number)
  }))
  description = "Throttling limits by stage. API Gateway responds with 429 to requests above them. A stage without an entry allows 500 requests per second, with a burst of 1000. A limit that an entry leaves out keeps this default. The default is the same for every stage, so that a stage that is renamed or added is never throttled by accident."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for stage in keys(var.throttles) : contains(keys(local.stages), stage)])
    error_message = "throttles has entries for stages that config.tf does not have: ${join(", ", [for stage in keys(var.throttles) : stage if !contains(keys(local.stages), stage)])}. The stages of config.tf are ${join(", ", keys(local.stages))}. If you have renamed or removed a stage, change throttles, too."
  }
}

variable "update_code" {
  type        = bool
  description = "Whether the function gets the code of the artifact. The pipeline passes false to change only the infrastructure: an existing function then keeps its code."
  default     = true
  nullable    = false
}
