"""A steady load on a stage: calls at set times, whether or not the ones before were answered."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import time

from pathtolive import stack, target
from pathtolive.cli import main
from pathtolive.load import Load, describe

# How often the command says how it goes.
LINE_SECONDS = 5.0


def command() -> int:
    """Return 0 once it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True, help="which stage is called")
    parser.add_argument("--rate", type=float, default=20.0, help="calls per second (%(default)g)")
    options = parser.parse_args()
    if not 0 < options.rate <= 1000:
        parser.error(f"--rate {options.rate:g} is not from 0 to 1000 calls per second")
    here = stack.inspect(target.from_environment())
    here.config.stage(options.stage)
    url = here.stage_url(options.stage)
    print(f"{options.rate:g} calls per second to {url}build-info until Ctrl-C ends it", flush=True)
    began = time.time()
    load = Load(url, options.rate, began)
    with contextlib.suppress(KeyboardInterrupt):
        for line in itertools.count(1):
            time.sleep(LINE_SECONDS)
            last = [call for call in load.calls if call.at >= (line - 1) * LINE_SECONDS]
            print(describe(last) if last else "no call has been answered", flush=True)
    load.stop()
    print(f"In all: {describe(load.calls)}" if load.calls else "No call was made")
    return 0


if __name__ == "__main__":
    main(command)
