"""SNS: what MiniStack does otherwise than AWS."""
