# The pins: the function version and the gateway deployment of each stage. `make promote`, `make release`, and
# `make rollback` write this file. You can edit it, too. See docs/stages.md.
locals {
  # Each name stands for the routes that the API had when the name was added. Stages pin a name.
  gateway_deployments = ["1"]

  # "newest" follows every `make deploy`. If a stage has no function_version, the next `make deploy` pins it.
  stages = {
    dev  = { function_version = "newest", gateway_deployment = "newest" }
    test = { gateway_deployment = "1" }
    live = { gateway_deployment = "1" }
  }
}
