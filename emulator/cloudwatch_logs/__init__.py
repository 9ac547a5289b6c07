"""CloudWatch Logs: what MiniStack does otherwise than AWS."""
