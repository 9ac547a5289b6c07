# Which stage runs which version of the function and serves which routes. `make promote`, `make release` and
# `make rollback` write this file; so may you. See docs/stages.md.
locals {
  # The API's routes as they stood when a name was added here. A stage pins one by name.
  gateway_deployments = ["1"]

  # "newest" follows every `make deploy`. A stage without function_version is pinned by the next one.
  stages = {
    dev  = { function_version = "newest", gateway_deployment = "newest" }
    test = { gateway_deployment = "1" }
    live = { gateway_deployment = "1" }
  }
}
