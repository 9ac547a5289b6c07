terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # In the bucket that it makes itself: `make bootstrap` moves it there once the bucket exists.
  backend "s3" {
    encrypt      = true
    key          = "bootstrap.tfstate"
    use_lockfile = true
  }
}
