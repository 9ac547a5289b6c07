output "github_repository" {
  description = "Repository that the roles of GitHub Actions trust, with its GitHub IDs. Null if github_repository is null."
  value       = var.github_repository
}

output "permissions_boundary_arn" {
  description = "ARN of the permissions boundary of the service's roles, for the variable permissions_boundary_arn of the root module."
  value       = aws_iam_policy.boundary.arn
}

output "role_names" {
  description = "Names of the roles of GitHub Actions. Empty if github_repository is null."
  value       = [for role in aws_iam_role.github : role.name]
}

output "state_bucket" {
  description = "Name of the S3 bucket for Terraform's state."
  value       = aws_s3_bucket.state.bucket
}

output "topic_key_arn" {
  description = "ARN of the key of the notifications topic, for the variable kms_key_arn of the root module. Null if it is not created here."
  value       = one(aws_kms_key.topic[*].arn)
}
