output "unhealthy_alarms" {
  description = "Name of the composite alarm of each stage."
  value       = { for stage, alarm in aws_cloudwatch_composite_alarm.unhealthy : stage => alarm.alarm_name }
}
