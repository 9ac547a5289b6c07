"""Releases: executions of the state machine that shifts the traffic of a stage from one version to another."""
