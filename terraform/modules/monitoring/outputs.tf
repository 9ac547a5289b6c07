output "alarms" {
  description = "ARN and threshold of each alarm, by stage and by kind, such as error_rate."
  value = {
    for stage in var.stages : stage => {
      for kind, alarm in {
        api_5xx_rate  = aws_cloudwatch_metric_alarm.api_5xx_rate[stage]
        duration      = aws_cloudwatch_metric_alarm.duration[stage]
        error_rate    = aws_cloudwatch_metric_alarm.error_rate[stage]
        throttles     = aws_cloudwatch_metric_alarm.throttles[stage]
        total_failure = aws_cloudwatch_metric_alarm.total_failure[stage]
        unhealthy     = aws_cloudwatch_composite_alarm.unhealthy[stage]
      } : kind => { arn = alarm.arn, threshold = try(alarm.threshold, null) }
    }
  }
}

output "unhealthy_alarms" {
  description = "Name of the composite alarm of each stage."
  value       = { for stage, alarm in aws_cloudwatch_composite_alarm.unhealthy : stage => alarm.alarm_name }
}
