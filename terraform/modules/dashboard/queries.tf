locals {
  queries = {
    for file in fileset("${path.module}/queries", "*.insights") : trimsuffix(file, ".insights") => trimspace(file("${path.module}/queries/${file}"))
  }

  # The logs of each query.
  query_logs = {
    durations         = [var.log_group_name]
    errors            = [var.log_group_name]
    errors-by-version = [var.log_group_name]
    releases          = local.release_logs
    responses         = [for stage in var.stages : stage.log_group_name]
  }
}

# The name before the slash is a folder in the console.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_Insights-Saving-Queries.html
resource "aws_cloudwatch_query_definition" "this" {
  for_each = { for name, query in local.queries : name => query if length(local.query_logs[name]) > 0 }

  name            = "${var.name}/${each.key}"
  query_string    = each.value
  log_group_names = local.query_logs[each.key]
}
