variable "api_execution_arn" {
  type        = string
  description = "Execution ARN of the API: the prefix of the ARNs of its stages."
  nullable    = false
}

variable "function_name" {
  type        = string
  description = "Name of the function."
  nullable    = false
}

variable "function_version" {
  type        = string
  description = "Version that the alias points to: a version number or \"newest\"."
  nullable    = false

  validation {
    condition     = can(regex("^([1-9][0-9]*|newest)$", var.function_version))
    error_message = "Stage ${var.stage}: function_version must be a version number or \"newest\", not \"${var.function_version}\"."
  }
}

variable "newest_version" {
  type        = string
  description = "Newest published version of the function."
  nullable    = false
}

variable "stage" {
  type        = string
  description = "Name of the alias, and of the only stage that can invoke it."
  nullable    = false

  # https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,128}$", var.stage)) && !can(regex("^[0-9]+$", var.stage))
    error_message = "\"${var.stage}\" is not a valid stage name. Use 1 to 128 letters, digits, hyphens, and underscores, and not digits alone."
  }
}
