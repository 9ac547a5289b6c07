"""AWS's descriptions of its services and regions, from botocore."""

from __future__ import annotations

from botocore.loaders import Loader

LOADER = Loader()
# Read at the start, not by the first release: local AWS answers no request during the 20 ms that it takes.
PARTITIONS = LOADER.load_data("endpoints")["partitions"]
