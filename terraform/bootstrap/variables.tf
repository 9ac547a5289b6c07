variable "api_id" {
  type        = string
  description = "ID of the service's API, which `make bootstrap` finds. If null, the roles know the API only by its tag."
  default     = null

  validation {
    condition     = var.api_id == null || can(regex("^[a-z0-9]+$", var.api_id))
    error_message = "api_id must be the ID of an API, such as a1b2c3d4e5."
  }
}

variable "create_topic_key" {
  type        = bool
  description = "Whether to create the KMS key of the notifications topic. The roles of GitHub Actions can create no key. If null, Terraform creates it if it creates the roles."
  default     = null
}

variable "domains" {
  type = map(object({
    certificate_arn = optional(string)
    hosted_zone_id  = optional(string)
    name            = string
  }))
  description = "Custom domain by stage, as in the root module, which has the same variable. The role \"infrastructure\" can change only these domains, and only their records in the hosted zones."
  default     = {}
  nullable    = false

  # A pattern would match other names in the policies.
  validation {
    condition     = alltrue([for domain in values(var.domains) : can(regex("^[a-z0-9.-]+$", domain.name))])
    error_message = "domains must have names in lowercase without wildcards, such as api.example.com."
  }

  validation {
    condition     = alltrue([for domain in values(var.domains) : domain.hosted_zone_id == null || can(regex("^[A-Z0-9]+$", domain.hosted_zone_id))])
    error_message = "hosted_zone_id in domains must be the ID of a hosted zone, such as Z0123456789ABCDEFGHIJ."
  }

  validation {
    condition     = alltrue([for domain in values(var.domains) : domain.hosted_zone_id != null || domain.certificate_arn != null])
    error_message = "Each entry of domains needs a hosted_zone_id, a certificate_arn, or both."
  }
}

variable "function_permissions" {
  type = map(object({
    actions   = list(string)
    resources = list(string)
  }))
  description = "Further permissions that the permissions boundary allows, by a name of letters and digits, such as { Orders = { actions = [\"dynamodb:GetItem\"], resources = [\"arn:...\"] } }. The function's own policy must grant them, too."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.function_permissions) : can(regex("^[A-Za-z0-9]+$", name))])
    error_message = "The names of function_permissions must be letters and digits, because they become statement IDs."
  }

  # A pattern of actions could include those that change roles and keys.
  validation {
    condition     = alltrue(flatten([for permission in values(var.function_permissions) : [for action in permission.actions : can(regex("^[a-z0-9-]+:[A-Za-z0-9]+$", action))]]))
    error_message = "The actions of function_permissions must be written out, such as dynamodb:GetItem, without wildcards."
  }
}

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
  description = "Repository that deploys from GitHub Actions, with GitHub's IDs of the repository and its owner. If null, Terraform creates no roles."
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
  type        = list(string)
  description = "Stages of config.tf, in their order. The first one follows the newest version. Each stage has a role, and a GitHub environment of the same name."
  default     = ["dev", "test", "live"]
  nullable    = false

  validation {
    condition     = length(var.stages) > 0 && length(distinct(var.stages)) == length(var.stages)
    error_message = "stages must be at least one name, each of them once."
  }

  validation {
    condition     = alltrue([for stage in var.stages : can(regex("^[a-zA-Z0-9_-]+$", stage))])
    error_message = "stages must be names of letters, digits, hyphens, and underscores. A wildcard would let other environments deploy."
  }

  # Otherwise, the environment of a stage could assume the role "plan" or "infrastructure", and the role that deploys to
  # a stage could have the name of a role that the infrastructure role changes, such as NAME-deploy-x-release.
  validation {
    condition     = alltrue([for stage in var.stages : !contains(["infrastructure", "plan"], lower(stage)) && !can(regex("-(release|rollback)$", stage))])
    error_message = "stages must not be named \"infrastructure\" or \"plan\", and not end in \"-release\" or \"-rollback\": other roles and environments have these names."
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
