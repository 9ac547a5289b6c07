terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # This configuration creates the bucket that holds its own state: `make bootstrap` moves the state there afterwards.
  backend "s3" {
    encrypt      = true
    key          = "bootstrap.tfstate"
    use_lockfile = true
  }
}
