"""Allow releases and promotions of a frozen stage again."""

from __future__ import annotations

from pathtolive import stack, target
from pathtolive.cli import Parser, main
from pathtolive.release.control import Control


def command() -> int:
    """Return 0 if the stage is not frozen."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to unfreeze")
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    here.config.stage(options.stage)
    control = Control(here, options.stage)
    if freeze := control.frozen():
        control.unfreeze()
        print(f"{options.stage} was {freeze}. Releases and promotions are no longer refused.")
    else:
        print(f"{options.stage} is not frozen. No changes.")
    return 0


if __name__ == "__main__":
    main(command)
