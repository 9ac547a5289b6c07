provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Service = local.name }, var.tags)
  }
}
