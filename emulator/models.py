"""AWS's descriptions of its services and regions, from botocore."""

from __future__ import annotations

from botocore.loaders import Loader

LOADER = Loader()
# Parsing it takes 20 ms, during which no request is answered. So it is read at the start, and LOADER keeps it for
# the clients.
PARTITIONS = LOADER.load_data("endpoints")["partitions"]
