variable "alarms" {
  type = object({
    api_5xx_rate_percent      = number
    duration_p99_milliseconds = number
    error_rate_percent        = number
    throttles                 = number
  })
  description = "Alarm thresholds. An alarm fires when 2 of 3 one-minute periods breach. A rate breaches if its lower confidence bound is above the threshold."
  nullable    = false
}

variable "api_id" {
  type        = string
  description = "ID of the HTTP API."
  nullable    = false
}

variable "console_url" {
  type        = string
  description = "URL of the AWS Management Console of the partition, such as https://console.aws.amazon.com. Alarm descriptions link to the dashboard there. With null, they contain no link to it."
  default     = null
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
  description = "Name of the service. The names of the alarms and of the dashboard start with it."
  nullable    = false
}

variable "runbook" {
  type        = string
  description = "URL of the runbook. Alarm descriptions link to its headings."
  default     = null
}

variable "stages" {
  type        = set(string)
  description = "Names of the stages. Each stage invokes the alias of the same name."
  nullable    = false
}

variable "topic_arn" {
  type        = string
  description = "ARN of the SNS topic that unhealthy alarms notify."
  nullable    = false
}
