"""What MiniStack's Lambda lacks: versions, aliases, permissions, execution environments and metrics as on AWS."""
