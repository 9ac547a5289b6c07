"""Requests at a constant rate, whether or not earlier ones have received a response."""
