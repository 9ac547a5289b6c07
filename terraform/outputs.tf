output "api_id" {
  description = "Id of the HTTP API."
  value       = module.api.id
}

output "function_name" {
  description = "Name of the Lambda function."
  value       = module.function.name
}

output "gateway_deployments" {
  description = "Of every gateway deployment by its name: its id at AWS, and a fingerprint of the routes that it holds."
  value       = { for name, id in module.api.deployments : name => { id = id, routes = module.api.deployment_routes[name] } }
}

output "newest_version" {
  description = "The version that was published last."
  value       = module.function.version
}

output "release_state_machine_arn" {
  description = "ARN of the state machine that shifts traffic."
  value       = module.release.state_machine_arn
}

output "routes" {
  description = "Fingerprint of the API's routes as they are now."
  value       = module.api.routes_fingerprint
}

output "stages" {
  description = "Of every stage by its name: the version that its alias runs, the gateway deployment that it serves (\"newest\" follows the API), and its URL."
  value = {
    for name, stage in module.stage : name => {
      function_version   = module.alias[name].function_version
      gateway_deployment = local.pins[name].gateway_deployment
      url                = stage.url
    }
  }
}

output "topic_arn" {
  description = "ARN of the topic that hears of alarms and releases."
  value       = module.monitoring.topic_arn
}
