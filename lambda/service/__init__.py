"""The service: what it answers, free of AWS's shapes."""
