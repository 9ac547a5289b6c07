output "key_arn" {
  description = "ARN of the KMS key that encrypts the topic. A publisher needs kms:Decrypt and kms:GenerateDataKey on it."
  value       = local.key_arn
}

output "topic_arn" {
  description = "ARN of the SNS topic. A publisher needs sns:Publish on it."
  value       = aws_sns_topic.this.arn
}
