variable "api_execution_arn" {
  type        = string
  description = "What the ARNs of the API's calls start with."
  nullable    = false
}

variable "function_name" {
  type        = string
  description = "Name of the function."
  nullable    = false
}

variable "function_version" {
  type        = string
  description = "The version that the alias points at: its number, or \"newest\"."
  nullable    = false

  validation {
    condition     = can(regex("^([1-9][0-9]*|newest)$", var.function_version))
    error_message = "Stage ${var.stage}: function_version must be the number of a version or \"newest\", not \"${var.function_version}\"."
  }
}

variable "newest_version" {
  type        = string
  description = "The version that was published last."
  nullable    = false
}

variable "stage" {
  type        = string
  description = "Name of the alias, and of the only stage that may invoke it."
  nullable    = false

  # https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,128}$", var.stage)) && !can(regex("^[0-9]+$", var.stage))
    error_message = "\"${var.stage}\" cannot name a stage: 1 to 128 letters, digits, hyphens and underscores, not digits alone."
  }
}
