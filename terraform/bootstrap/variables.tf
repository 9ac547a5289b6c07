variable "github_oidc_provider_arn" {
  type        = string
  description = "ARN of the account's IAM OIDC identity provider for GitHub Actions. An account can have only one. If null, Terraform creates it."
  default     = null
}

variable "github_repository" {
  type = object({
    id       = string
    name     = string
    owner    = string
    owner_id = string
  })
  description = "Repository that deploys from GitHub Actions, with GitHub's IDs of the repository and its owner. If null, Terraform creates no deploy role."
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[0-9]+$", var.github_repository.id))
    error_message = "github_repository.id must be the numeric ID of the repository, such as 1296269."
  }

  validation {
    condition = var.github_repository == null || (
      can(regex("^[A-Za-z0-9._-]{1,100}$", var.github_repository.name)) &&
      !can(regex("^[.]{1,2}$|[.]git$", var.github_repository.name))
    )
    error_message = "github_repository.name must be 1 to 100 letters, digits, dots, hyphens, and underscores. It must not be . or .., and must not end in .git."
  }

  # The names of Enterprise Managed Users contain an underscore.
  # https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication
  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$", var.github_repository.owner))
    error_message = "github_repository.owner must be 1 to 39 letters, digits, hyphens, and underscores, and start with a letter or digit."
  }

  validation {
    condition     = var.github_repository == null || can(regex("^[0-9]+$", var.github_repository.owner_id))
    error_message = "github_repository.owner_id must be the numeric ID of the owner, such as 583231."
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
  description = "AWS Region of the service and of its state."
  default     = "eu-west-2"
  nullable    = false
}

variable "stages" {
  type        = set(string)
  description = "GitHub environments that can deploy: one per stage."
  default     = ["dev", "test", "live"]
  nullable    = false

  validation {
    condition     = alltrue([for stage in var.stages : can(regex("^[a-zA-Z0-9_-]+$", stage))])
    error_message = "stages must be names of letters, digits, hyphens, and underscores. A wildcard would let other environments deploy."
  }
}

variable "state_retention_days" {
  type        = number
  description = "Retention of earlier versions of Terraform's state, in days."
  default     = 90
  nullable    = false

  validation {
    condition     = var.state_retention_days >= 1
    error_message = "state_retention_days must be at least 1."
  }
}
