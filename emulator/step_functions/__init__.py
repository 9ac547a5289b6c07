"""Step Functions: what MiniStack does not do of it, and what it does otherwise than AWS."""
