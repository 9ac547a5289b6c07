data "aws_partition" "this" {}

locals {
  # A workspace is a private copy of the service. Versions are numbered per function, so the pins in config.tf apply
  # to the default workspace only.
  default_workspace = terraform.workspace == "default"
  name              = local.default_workspace ? var.name : "${var.name}-${terraform.workspace}"

  # https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
  consoles = {
    aws        = "https://console.aws.amazon.com"
    aws-cn     = "https://console.amazonaws.cn"
    aws-us-gov = "https://console.amazonaws-us-gov.com"
  }
  console_url = lookup(local.consoles, data.aws_partition.this.partition, null)

  # ANY, so that the service itself answers HEAD, and returns 405 with an Allow header for other methods.
  routes = toset(["ANY /", "ANY /build-info"])

  # The stages in the order of config.tf. Terraform sorts the keys of an object, so only the text has their order.
  config_names = flatten(regexall("([A-Za-z0-9_-]+)\"?\\s*[=:]", replace(file("${path.root}/config.tf"), "/(#|//)[^\n]*/", "")))
  path         = distinct([for name in concat(local.config_names, keys(local.stages)) : name if contains(keys(local.stages), name)])

  # The pins in config.tf, overridden by var.pins.
  configured = {
    for stage, pin in local.stages : stage => merge(
      { function_version = null, gateway_deployment = "newest" },
      pin,
      { for name, value in try(var.pins[stage], {}) : name => value if value != null },
    )
  }

  pins = {
    for stage, pin in local.configured : stage => {
      function_version   = local.default_workspace ? tostring(pin.function_version) : "newest"
      gateway_deployment = local.default_workspace ? tostring(pin.gateway_deployment) : "newest"
    }
  }
  # Keep each gateway deployment that a stage serves, even if config.tf no longer names it.
  served_deployments = tolist(setsubtract(compact([for pin in values(var.pins) : pin.gateway_deployment]), concat(local.gateway_deployments, ["newest"])))
  unpinned_stages    = [for stage, pin in local.pins : stage if pin.function_version == null]

  # A domain belongs to one API: a workspace cannot have it, too.
  domains          = local.default_workspace ? var.domains : {}
  default_endpoint = var.default_endpoint || !local.default_workspace
  domains_by_name  = { for domain in values(local.domains) : domain.name => domain... }
  urls = merge(
    { for name, stage in module.stage : name => stage.url },
    { for stage, domain in local.domains : stage => module.domain[domain.name].urls[stage] },
  )
}

check "every_stage_is_pinned" {
  assert {
    condition     = length(local.unpinned_stages) == 0
    error_message = "Not pinned in config.tf: ${join(", ", local.unpinned_stages)}. An unpinned stage runs the newest version. To pin it to the version that it runs, run: make deploy"
  }
}

module "function" {
  source = "./modules/function"

  artifact                 = "${path.root}/../dist/lambda.zip"
  log_level                = var.function.log_level
  log_retention_days       = var.log_retention_days
  memory_megabytes         = var.function.memory_megabytes
  name                     = local.name
  permissions_boundary_arn = var.permissions_boundary_arn
  timeout_seconds          = var.function.timeout_seconds
  update_code              = var.update_code
}

module "api" {
  source = "./modules/api"

  default_endpoint    = local.default_endpoint
  deployments         = concat(local.gateway_deployments, local.served_deployments)
  function_arn        = module.function.arn
  function_invoke_arn = module.function.invoke_arn
  name                = local.name
  routes              = local.routes
}

module "alias" {
  source   = "./modules/alias"
  for_each = local.pins

  api_execution_arn = module.api.execution_arn
  function_name     = module.function.name
  function_version  = each.value.function_version == null ? "newest" : each.value.function_version
  newest_version    = module.function.version
  stage             = each.key
}

module "stage" {
  source   = "./modules/stage"
  for_each = local.pins

  alias              = module.alias[each.key].name
  api_id             = module.api.id
  api_name           = local.name
  deployment         = each.value.gateway_deployment
  deployments        = module.api.deployments
  log_retention_days = var.log_retention_days
  name               = each.key
  throttle           = try(var.throttles[each.key], {})
}

module "domain" {
  source   = "./modules/domain"
  for_each = local.domains_by_name

  api_id          = module.api.id
  base_paths      = { for stage, domain in local.domains : module.stage[stage].name => domain.base_path if domain.name == each.key }
  certificate_arn = each.value[0].certificate_arn
  hosted_zone_id  = each.value[0].hosted_zone_id
  name            = each.key
}

module "notifications" {
  source = "./modules/notifications"

  emails      = var.alert_emails
  kms_key_arn = var.kms_key_arn
  name        = local.name
}

module "monitoring" {
  source = "./modules/monitoring"

  alarms       = var.alarms
  api_id       = module.api.id
  console_url  = local.console_url
  function_arn = module.function.arn
  name         = module.function.name
  runbook      = var.runbook
  stages       = keys(local.pins)
  topic_arn    = module.notifications.topic_arn
}

module "release" {
  source   = "./modules/release"
  for_each = local.pins

  console_url = local.console_url
  error_metrics = [merge(module.function.error_responses_metric, {
    dimensions = { alias = each.key, version = "{version}" }
  })]
  function_arn             = module.function.arn
  log_retention_days       = var.log_retention_days
  name                     = local.name
  permissions_boundary_arn = var.permissions_boundary_arn
  settings                 = try(var.releases[each.key], {})
  # An artifact that was built without git returns no JSON.
  smoke_tests     = [{ path = "/" }, { path = "/build-info", json = { "function.version" = "{version}" } }]
  stage           = each.key
  topic_arn       = module.notifications.topic_arn
  topic_key_arn   = module.notifications.key_arn
  unhealthy_alarm = module.monitoring.unhealthy_alarms[each.key]
}

module "dashboard" {
  source = "./modules/dashboard"

  alarms                 = module.monitoring.alarms
  api_id                 = module.api.id
  console_url            = local.console_url
  error_responses_metric = module.function.error_responses_metric
  function_arn           = module.function.arn
  log_group_name         = module.function.log_group_name
  name                   = local.name
  releases               = [for name in local.path : module.release[name]]
  runbook                = var.runbook
  stages                 = [for name in local.path : merge(module.stage[name], { url = local.urls[name] })]
}

# States of earlier configurations have other addresses.
moved {
  from = module.monitoring.aws_cloudwatch_dashboard.this
  to   = module.dashboard.aws_cloudwatch_dashboard.this
}

moved {
  from = module.monitoring.aws_kms_alias.this
  to   = module.notifications.aws_kms_alias.this[0]
}

moved {
  from = module.monitoring.aws_kms_key.this
  to   = module.notifications.aws_kms_key.this[0]
}

moved {
  from = module.monitoring.aws_sns_topic.this
  to   = module.notifications.aws_sns_topic.this
}

moved {
  from = module.monitoring.aws_sns_topic_policy.this
  to   = module.notifications.aws_sns_topic_policy.this
}

moved {
  from = module.monitoring.aws_sns_topic_subscription.email
  to   = module.notifications.aws_sns_topic_subscription.email
}
