variable "github_oidc_provider_arn" {
  type        = string
  description = "ARN of the account's identity provider for GitHub Actions, where it has one: there can be only one. Null makes it."
  default     = null
}

variable "github_repository" {
  type = object({
    id       = string
    name     = string
    owner    = string
    owner_id = string
  })
  description = "The repository that deploys from GitHub Actions, and the numbers that GitHub gave it and its owner. Null creates no deploy role."
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[0-9]+$", var.github_repository.id))
    error_message = "github_repository.id must be the number of the repository, as in 1296269."
  }

  validation {
    condition = var.github_repository == null || (
      can(regex("^[A-Za-z0-9._-]{1,100}$", var.github_repository.name)) &&
      !can(regex("^[.]{1,2}$|[.]git$", var.github_repository.name))
    )
    error_message = "github_repository.name must be 1 to 100 letters, digits, dots, hyphens and underscores, other than . and .. and without .git at the end."
  }

  # The underscore is that of Enterprise Managed Users.
  # https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication
  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$", var.github_repository.owner))
    error_message = "github_repository.owner must be 1 to 39 letters, digits, hyphens and underscores, starting with a letter or digit."
  }

  validation {
    condition     = var.github_repository == null || can(regex("^[0-9]+$", var.github_repository.owner_id))
    error_message = "github_repository.owner_id must be the number of the owner, as in 583231."
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
