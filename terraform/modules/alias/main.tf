locals {
  function_version = var.function_version == "newest" ? var.newest_version : var.function_version
}

resource "aws_lambda_alias" "this" {
  name             = var.stage
  description      = "Version that the stage ${var.stage} runs"
  function_name    = var.function_name
  function_version = local.function_version

  lifecycle {
    # The release engine owns the weights, and records their owner in the description. Ignoring both keeps a plan empty
    # during a release, too.
    ignore_changes = [description, routing_config]

    precondition {
      condition     = tonumber(local.function_version) <= tonumber(var.newest_version)
      error_message = "Stage ${var.stage} is pinned to version ${local.function_version}, but the newest version of ${var.function_name} is ${var.newest_version}. In config.tf, pin the stage to a version that exists, or remove its function_version to use the newest version."
    }
  }
}

# Only this stage of this API can invoke the alias.
resource "aws_lambda_permission" "this" {
  statement_id  = "stage-${var.stage}"
  action        = "lambda:InvokeFunction"
  function_name = var.function_name
  qualifier     = aws_lambda_alias.this.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api_execution_arn}/${var.stage}/*"
}
