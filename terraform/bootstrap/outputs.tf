output "deploy_role_arn" {
  description = "ARN of the role that GitHub Actions deploys with, for the repository's variable AWS_DEPLOY_ROLE. Null if github_repository is null."
  value       = one(aws_iam_role.deploy[*].arn)
}

output "github_repository" {
  description = "Repository that the deploy role trusts, with its GitHub IDs. Null if github_repository is null."
  value       = var.github_repository
}

output "state_bucket" {
  description = "Name of the S3 bucket for Terraform's state."
  value       = aws_s3_bucket.state.bucket
}
