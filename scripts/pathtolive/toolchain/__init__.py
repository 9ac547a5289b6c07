"""The tools that the commands and tests use: Terraform, the AWS provider, the Lambda runtime interface emulator."""
