"""Send requests to a stage at a constant rate, whether or not earlier ones have received a response.

With --seconds, the load ends by itself. The command fails if the requests exceed --max-error-rate or --max-p99-ms, even
if Ctrl-C ends the load.

The requests go to each GET route of the API in turn. Each line counts the requests that were due in its window of time,
and is printed when the last of them has ended. The response of /build-info names the version.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time

from pathtolive import interrupts, local_aws, stack, target
from pathtolive.cli import CommandError, Parser, main, require, valid
from pathtolive.load.arrivals import Step, arrivals
from pathtolive.load.limits import seconds
from pathtolive.load.routes import BUILD_INFO, path, paths
from pathtolive.load.run import Load
from pathtolive.load.windows import Count, Windows
from pathtolive.release.settings import milliseconds, share


def command() -> int:
    """Return 0 if the limits were kept, also after Ctrl-C."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to send requests to")
    parser.variable("--rate", "RATE", type=float, default=20.0, help="requests per second (default: %(default)g)")
    parser.variable(
        *("--route", "ROUTE"),
        type=valid(path),
        metavar="PATH",
        help="path to request (default: each GET route of the API)",
    )
    parser.variable(
        "--seconds",
        "DURATION",
        type=valid(seconds),
        default=math.inf,
        help="duration in seconds (default: until Ctrl-C)",
    )
    parser.variable(
        *("--max-error-rate", "MAX_ERROR_RATE"),
        type=valid(share),
        default=1.0,
        metavar="PERCENTAGE",
        help="highest share of the requests that can fail (default: 100)",
    )
    parser.variable(
        *("--max-p99-ms", "MAX_P99_MS"),
        type=valid(milliseconds),
        default=math.inf,
        metavar="MS",
        help="duration that at most 1 %% of the responses can exceed (default: any)",
    )
    options = parser.parse_args()
    if not 0 < options.rate <= 1000:
        parser.error(f"--rate {options.rate:g} is not greater than 0 and at most 1000 requests per second")
    require("locust", target="load")
    here = stack.inspect(target.from_environment())
    here.config.stage(options.stage)
    url = here.stage_url(options.stage)
    routes = [options.route] if options.route else paths(here, options.stage)
    print(f"Sending {options.rate:g} requests per second to {url}: {', '.join(routes)}. Ctrl-C stops it.", flush=True)
    if BUILD_INFO in routes:
        print(f"The responses of {BUILD_INFO} name the version.", flush=True)
    with contextlib.suppress(KeyboardInterrupt), interrupts.deferred() as pending:
        total = send(url, Step(options.rate, options.seconds, routes), pending)
        if exceeded := total.exceeded(options.max_error_rate, options.max_p99_ms):
            raise CommandError(
                f"{options.stage} did not keep the limits of the load: {exceeded}.\n"
                f"To find the cause, run: {here.logs_command(options.stage)}"
            )
    return 0


def send(url: str, step: Step, pending: interrupts.Pending) -> Count:
    """Send requests and print lines until their end, Ctrl-C, or the end of local AWS; print the total and return it.

    Raises:
        EndedError: local AWS ended.
    """
    error: local_aws.EndedError | None = None
    stopped, stopping = step.seconds, False
    with Load(url, [step]) as load:
        windows = Windows(load.started, arrivals([dataclasses.replace(step, seconds=math.inf)]))
        while (outcomes := load.read()) is not None:
            for line in windows.add(outcomes):
                print(line, flush=True)
            error = error or _end(url)
            if not stopping and (error or pending.times):
                stopped, stopping = min(stopped, time.time() - load.started), True
                load.stop()
    for line in windows.rest(stopped):
        print(line)
    print(f"{windows.span(0, stopped)}  Total: {windows.total}")
    if error:
        raise error
    return windows.total


def _end(url: str) -> local_aws.EndedError | None:
    try:
        local_aws.check(url)
    except local_aws.EndedError as error:
        return error
    return None


if __name__ == "__main__":
    main(command)
