variable "alarms" {
  type = map(object({
    api_5xx_rate  = object({ arn = string, threshold = number })
    duration      = object({ arn = string, threshold = number })
    error_rate    = object({ arn = string, threshold = number })
    throttles     = object({ arn = string })
    total_failure = object({ arn = string })
    unhealthy     = object({ arn = string })
  }))
  description = "Alarms of each stage. Their thresholds are drawn in the graphs."
  nullable    = false
}

variable "api_id" {
  type        = string
  description = "ID of the HTTP API."
  nullable    = false
}

variable "console_url" {
  type        = string
  description = "URL of the AWS Management Console of the partition, such as https://console.aws.amazon.com. With null, the dashboard contains no links to it."
  default     = null
}

variable "error_responses_metric" {
  type = object({
    name      = string
    namespace = string
  })
  description = "Metric that counts responses of 500 and more that the function returned, with the dimensions alias and version."
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
  description = "Name of the service, and of the dashboard. The names of the saved queries start with it and a slash."
  nullable    = false
}

variable "releases" {
  type = list(object({
    log_group_name    = string
    state_machine_arn = string
  }))
  description = "State machines that run releases, and their log groups. Without any, the dashboard shows no releases."
  default     = []
  nullable    = false
}

variable "runbook" {
  type        = string
  description = "URL of the runbook. With null, the dashboard contains no link to it."
  default     = null
}

variable "stages" {
  type = list(object({
    log_group_name = string
    name           = string
    url            = string
  }))
  description = "Stages in the order of the path: the last one serves the clients, and comes first on the dashboard. log_group_name is that of the access log. Each stage invokes the alias of the same name."
  nullable    = false

  validation {
    condition     = length(var.stages) > 0
    error_message = "stages must have at least one stage."
  }
}
