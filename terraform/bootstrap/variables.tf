variable "github_oidc_provider_arn" {
  type        = string
  description = "ARN of the account's identity provider for GitHub Actions, where it has one: there can be only one. Null makes it."
  default     = null
}

variable "github_repository" {
  type        = string
  description = "The repository that deploys from GitHub Actions, as owner/name. Null makes no deploy role."
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$", var.github_repository))
    error_message = "github_repository must be owner/name, as in octocat/hello-world."
  }
}

variable "name" {
  type        = string
  description = "Name of the service, as in the root module."
  default     = "path-to-live"
  nullable    = false
}

variable "region" {
  type        = string
  description = "AWS region of the service and of its state."
  default     = "eu-west-2"
  nullable    = false
}

variable "stages" {
  type        = set(string)
  description = "GitHub's environments that may deploy: one per stage."
  default     = ["dev", "test", "live"]
  nullable    = false

  validation {
    condition     = alltrue([for stage in var.stages : can(regex("^[a-zA-Z0-9_-]+$", stage))])
    error_message = "stages must be names of letters, digits, hyphens and underscores: a wildcard would let every branch deploy."
  }
}

variable "state_retention_days" {
  type        = number
  description = "How long earlier versions of Terraform's state are kept."
  default     = 90
  nullable    = false

  validation {
    condition     = var.state_retention_days >= 1
    error_message = "state_retention_days must be at least 1."
  }
}
