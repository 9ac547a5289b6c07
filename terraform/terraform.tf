terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # Each account has its own bucket: pass its name with `terraform init -backend-config=bucket=...`.
  backend "s3" {
    encrypt      = true
    key          = "path-to-live.tfstate"
    use_lockfile = true
  }
}
