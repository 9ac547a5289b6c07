"""The service. AWS's events are known to ``handler`` and ``service.parts`` only."""
