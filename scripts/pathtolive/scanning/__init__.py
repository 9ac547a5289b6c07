"""Scans of the code, the workflows, Terraform, and IAM documents, and the findings that are accepted."""
