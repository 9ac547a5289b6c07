# The roles of GitHub Actions: one to plan, one to change the infrastructure, and one for each stage. Each trusts its own
# environment. policies.tf has their permissions.

locals {
  github   = "token.actions.githubusercontent.com"
  roles    = var.github_repository == null ? toset([]) : toset(keys(local.environments))
  oidc_arn = var.github_oidc_provider_arn != null ? var.github_oidc_provider_arn : one(aws_iam_openid_connect_provider.github[*].arn)

  # The environment of each role.
  environments = merge(
    { plan = "plan", infrastructure = "infrastructure" },
    { for stage in var.stages : "deploy-${stage}" => stage },
  )

  descriptions = merge(
    {
      plan           = "plan changes of ${var.name}, and change nothing"
      infrastructure = "change the infrastructure of ${var.name}"
    },
    { for stage in var.stages : "deploy-${stage}" => stage == local.first_stage ? "publish versions of ${var.name}, and deploy them to ${stage}" : "release versions of ${var.name} to ${stage}" },
  )

  # The subjects of repositories created, renamed, or transferred since 15 July 2026 contain the IDs.
  # https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims
  repository_subjects = var.github_repository == null ? [] : [
    "repo:${var.github_repository.owner}/${var.github_repository.name}",
    "repo:${var.github_repository.owner}@${var.github_repository.owner_id}/${var.github_repository.name}@${var.github_repository.id}",
  ]

  # A pull request has no environment, and runs on a merge of its branch. GitHub issues no token for one from a fork.
  # https://docs.github.com/en/actions/reference/security/oidc
  # https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#workflows-in-forked-repositories
  jobs = {
    for role, environment in local.environments : role => concat(
      ["environment:${environment}"],
      role == "plan" ? ["pull_request"] : [],
    )
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_repository != null && var.github_oidc_provider_arn == null ? 1 : 0

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

# Claims: https://docs.github.com/en/actions/reference/security/oidc
# Condition keys: https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/
data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    sid     = "GitHubActions"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.oidc_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github}:sub"
      values   = flatten([for job in local.jobs[each.key] : [for repository in local.repository_subjects : "${repository}:${job}"]])
    }

    # Without the ID, a repository that takes over an abandoned name would match the subject.
    condition {
      test     = "StringEquals"
      variable = "${local.github}:repository_id"
      values   = [var.github_repository.id]
    }

    # The subject names the environment, not the branch. A role that only reads can plan any branch.
    dynamic "condition" {
      for_each = each.key == "plan" ? [] : ["refs/heads/main"]

      content {
        test     = "StringEquals"
        variable = "${local.github}:ref"
        values   = [condition.value]
      }
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = local.roles

  name               = "${var.name}-${each.key}"
  description        = "Role of GitHub Actions in ${var.github_repository.owner}/${var.github_repository.name}: ${local.descriptions[each.key]}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy_attachment" "read" {
  for_each = local.roles

  role       = aws_iam_role.github[each.key].name
  policy_arn = aws_iam_policy.read[0].arn
}

resource "aws_iam_role_policy_attachment" "infrastructure" {
  for_each = setintersection(local.roles, ["infrastructure"])

  role       = aws_iam_role.github[each.key].name
  policy_arn = aws_iam_policy.infrastructure[0].arn
}

resource "aws_iam_role_policy" "infrastructure" {
  for_each = var.github_repository == null ? {} : {
    api           = data.aws_iam_policy_document.api.json
    service-roles = data.aws_iam_policy_document.service_roles.json
    state         = data.aws_iam_policy_document.state.json
  }

  name   = each.key
  role   = aws_iam_role.github["infrastructure"].name
  policy = each.value
}

resource "aws_iam_role_policy" "deploy" {
  for_each = { for stage in var.stages : "deploy-${stage}" => stage if var.github_repository != null }

  name   = "deploy"
  role   = aws_iam_role.github[each.key].name
  policy = each.value == local.first_stage ? data.aws_iam_policy_document.publish.json : data.aws_iam_policy_document.release[each.value].json
}
