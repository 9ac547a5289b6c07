variable "alarms" {
  type = object({
    api_5xx_rate_percent      = number
    duration_p99_milliseconds = number
    error_rate_percent        = number
    min_calls                 = number
    throttles                 = number
  })
  description = "From where on a minute of a stage is a bad one. Rates are judged in minutes with at least min_calls calls."
  nullable    = false
}

variable "api_id" {
  type        = string
  description = "Id of the HTTP API."
  nullable    = false
}

variable "emails" {
  type        = set(string)
  description = "Addresses that hear of alarms and releases; each has to confirm its subscription."
  nullable    = false
}

variable "function_arn" {
  type        = string
  description = "ARN of the function, without a qualifier."
  nullable    = false
}

variable "log_group_name" {
  type        = string
  description = "Name of the function's log group."
  nullable    = false
}

variable "name" {
  type        = string
  description = "Name of the service; names of alarms, topic and dashboard start with it."
  nullable    = false
}

variable "publisher_role_arn" {
  type        = string
  description = "ARN of the role that tells of releases."
  nullable    = false
}

variable "runbook" {
  type        = string
  description = "Where the runbook is; descriptions of alarms link to its headings."
  nullable    = false
}

variable "stages" {
  type        = set(string)
  description = "Names of the stages, which are also those of the aliases that they call."
  nullable    = false
}
