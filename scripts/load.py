"""Send requests to a stage at a constant rate, whether or not earlier ones have received a response.

They are for each GET route of the API in turn. The response of /build-info names the version.
"""

from __future__ import annotations

import contextlib
import itertools
import time

from pathtolive import local_aws, stack, target
from pathtolive.cli import Parser, main
from pathtolive.load import BUILD_INFO, Load, describe, paths

LINE_SECONDS = 5.0


def command() -> int:
    """Return 0 after Ctrl-C."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to send requests to")
    parser.variable("--rate", "RATE", type=float, default=20.0, help="requests per second (default: %(default)g)")
    parser.variable("--route", "ROUTE", metavar="PATH", help="path to request (default: each GET route of the API)")
    options = parser.parse_args()
    if options.route and not options.route.startswith("/"):
        parser.error(f"--route {options.route} is not a path, such as /build-info")
    if not 0 < options.rate <= 1000:
        parser.error(f"--rate {options.rate:g} is not greater than 0 and at most 1000 requests per second")
    here = stack.inspect(target.from_environment())
    here.config.stage(options.stage)
    url = here.stage_url(options.stage)
    routes = [options.route] if options.route else paths(here, options.stage)
    print(f"Sending {options.rate:g} requests per second to {url}: {', '.join(routes)}. Ctrl-C stops it.", flush=True)
    if BUILD_INFO in routes:
        print(f"The responses of {BUILD_INFO} name the version.", flush=True)
    load = Load(url, options.rate, time.time(), routes)
    with contextlib.suppress(KeyboardInterrupt):
        for line in itertools.count(1):
            time.sleep(LINE_SECONDS)
            local_aws.check(url)
            last = [request for request in load.requests if request.at >= (line - 1) * LINE_SECONDS]
            print(describe(last) if last else "no response yet", flush=True)
    load.stop()
    print(f"Total: {describe(load.requests)}" if load.requests else "No request was sent")
    return 0


if __name__ == "__main__":
    main(command)
