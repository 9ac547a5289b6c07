output "api_id" {
  description = "ID of the HTTP API."
  value       = module.api.id
}

output "domains" {
  description = "Name that the DNS record of each custom domain points to, by domain. Null if there are none."
  value       = length(local.domains) == 0 ? null : { for name, domain in module.domain : name => domain.target }
}

output "function_name" {
  description = "Name of the Lambda function."
  value       = module.function.name
}

output "gateway_deployments" {
  description = "ID and routes fingerprint of each gateway deployment, by name."
  value       = { for name, id in module.api.deployments : name => { id = id, routes = module.api.deployment_routes[name] } }
}

output "newest_version" {
  description = "Newest published version of the function."
  value       = module.function.version
}

output "routes" {
  description = "Fingerprint of the API's current routes."
  value       = module.api.routes_fingerprint
}

output "stages" {
  description = "Version, gateway deployment, state machine, control parameter, and URL of each stage, by name. The gateway deployment \"newest\" follows the API's current routes."
  value = {
    for name, stage in module.stage : name => {
      control_parameter  = module.release[name].control_parameter
      function_version   = module.alias[name].function_version
      gateway_deployment = local.pins[name].gateway_deployment
      state_machine_arn  = module.release[name].state_machine_arn
      url                = local.urls[name]
    }
  }
}

output "topic_arn" {
  description = "ARN of the SNS topic that notifies people of alarms and releases."
  value       = module.notifications.topic_arn
}
