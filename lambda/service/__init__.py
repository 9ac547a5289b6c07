"""The service, independent of the shape of AWS's events."""
