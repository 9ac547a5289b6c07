locals {
  error_responses = {
    namespace = var.name
    name      = "ErrorResponses"
  }
}

# Created before the function: otherwise Lambda creates the log group without a retention period, outside of
# Terraform's state.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

# Responses of 500 and more that the function returns. Lambda counts only errors that it raises.
# The metric has a price for each pair of an alias and a version: https://aws.amazon.com/cloudwatch/pricing/
resource "aws_cloudwatch_log_metric_filter" "error_responses" {
  name           = "${var.name}-error-responses"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = "{ ($.status >= 500) && ($.error NOT EXISTS) }"

  metric_transformation {
    namespace = local.error_responses.namespace
    name      = local.error_responses.name
    value     = "1"

    dimensions = {
      alias   = "$.alias"
      version = "$.version"
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "LambdaAssumeRole"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Execution role of the function ${var.name}: write logs."
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "logs" {
  name   = "logs"
  role   = aws_iam_role.this.name
  policy = data.aws_iam_policy_document.logs.json
}

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = "Path to Live"
  role          = aws_iam_role.this.arn
  filename      = var.artifact
  # Without a hash, the function keeps its code. A new function gets that of the artifact.
  source_code_hash = var.update_code && fileexists(var.artifact) ? filebase64sha256(var.artifact) : null
  architectures    = ["arm64"]
  runtime          = "python3.13"
  handler          = "handler.handler"
  memory_size      = var.memory_megabytes
  timeout          = var.timeout_seconds
  # Publish a version for each change of code or configuration: only versions can be promoted.
  publish = true

  environment {
    variables = { LOG_LEVEL = var.log_level }
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.artifact)
      error_message = "Artifact ${var.artifact} not found. Build it with: make build"
    }
  }

  # Without the policy, an invocation would lose its logs.
  depends_on = [aws_iam_role_policy.logs]
}
