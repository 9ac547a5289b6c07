"""What MiniStack's HTTP APIs lack: deployments, stages that serve them, and requests handled as on AWS."""
