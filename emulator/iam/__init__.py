"""What IAM decides for AWS services that act as a role."""
