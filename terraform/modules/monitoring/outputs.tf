output "topic_arn" {
  description = "ARN of the SNS topic that alarms and releases publish to."
  value       = aws_sns_topic.this.arn
}

output "unhealthy_alarms" {
  description = "Name of the composite alarm of each stage."
  value       = { for stage, alarm in aws_cloudwatch_composite_alarm.unhealthy : stage => alarm.alarm_name }
}
