output "control_parameter" {
  description = "Name of the parameter with which people steer the releases of the stage."
  value       = aws_ssm_parameter.control.name
}

output "log_group_name" {
  description = "Name of the log group of releases."
  value       = aws_cloudwatch_log_group.this.name
}

output "role_arn" {
  description = "ARN of the state machine's execution role."
  value       = aws_iam_role.this.arn
}

output "state_machine_arn" {
  description = "ARN of the state machine."
  value       = aws_sfn_state_machine.this.arn
}
