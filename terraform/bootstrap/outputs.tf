output "deploy_role_arn" {
  description = "The role that GitHub Actions deploys with: the repository's variable AWS_DEPLOY_ROLE. Null without a repository."
  value       = one(aws_iam_role.deploy[*].arn)
}

output "github_repository" {
  description = "The repository that the deploy role trusts, with its numbers; null without one."
  value       = var.github_repository
}

output "state_bucket" {
  description = "Name of the bucket of Terraform's state."
  value       = aws_s3_bucket.state.bucket
}
