terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # The bucket is named at `terraform init -backend-config=bucket=...`: it differs from account to account.
  backend "s3" {
    encrypt      = true
    key          = "path-to-live.tfstate"
    use_lockfile = true
  }
}
