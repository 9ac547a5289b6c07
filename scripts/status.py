"""Print the active version, the pin, the routes, and the alarms of each stage."""

from __future__ import annotations

import json

from pathtolive import stack, status, target
from pathtolive.cli import Parser, main


def command() -> int:
    """Return 0 if the target can be read."""
    parser = Parser(__doc__)
    parser.variable("--json", "JSON", action="store_true", help="print a JSON list instead of a table")
    options = parser.parse_args()
    here = stack.inspect(target.from_environment())
    if options.json:
        print(json.dumps(status.stages(here), indent=2))
    else:
        status.show(here)
    return 0


if __name__ == "__main__":
    main(command)
