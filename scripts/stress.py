"""Send requests to a stage in steps up to its throttle and past it, and verify that nothing but the throttle fails.

The throttle is that of the stage in API Gateway. A step past it first uses up the burst, and then lasts as long as the
others; all its requests are for one path.

Exit status: 0 if requests past the throttle received 429 and every other request succeeded. 1 if anything else
happened, which the last line says.
"""

from __future__ import annotations

import math
import time

from pathtolive import local_aws, progress, stack, tables, target
from pathtolive.cli import LOCAL, CommandError, Parser, main, require, valid
from pathtolive.load import limits
from pathtolive.load.routes import path, paths, throttle
from pathtolive.load.run import Load


def command() -> int:
    """Return 0 if the throttle is all that fails."""
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="dev", help="stage to send requests to")
    parser.variable(
        *("--rate", "RATE"),
        type=valid(limits.rates),
        metavar="RATES",
        help="requests per second of each step, such as 100,200 (default: 25, 50, 80, 150, and 200 %% of the throttle)",
    )
    parser.variable(
        *("--step-seconds", "STEP_SECONDS"),
        type=valid(limits.seconds),
        default=limits.STEP_SECONDS,
        metavar="SECONDS",
        help="duration of each step (default: %(default)g)",
    )
    parser.variable(
        *("--route", "ROUTE"),
        type=valid(path),
        metavar="PATH",
        help="path to request (default: each GET route of the API)",
    )
    options = parser.parse_args()
    require("locust", target="stress")
    here = stack.use(target.from_environment())
    here.config.stage(options.stage)
    url = here.stage_url(options.stage)
    routes = [options.route] if options.route else paths(here, options.stage)
    limit = throttle(here, options.stage, routes)
    steps = limits.plan(options.rate, limit, routes, options.step_seconds)
    print(
        f"{options.stage} allows {limit.rate:g} requests per second, with a burst of {limit.burst:g}. Sending "
        f"{sum(step.requests for step in steps):g} requests to {url} in {math.ceil(sum(s.seconds for s in steps))} s",
        flush=True,
    )
    report = LOCAL / "stress" / f"{options.stage}-{time.strftime('%Y-%m-%d-%H%M%S')}.html"
    found = limits.results(steps)
    with Load(url, steps, report) as load:
        for result in found:
            with progress.step(f"Step {result.number} of {len(steps)}: {result.step.rate:g} per second") as shown:
                while result.requests < result.step.requests and (outcomes := load.read()) is not None:
                    local_aws.check(url)
                    for outcome in outcomes:
                        found[outcome.step].add(outcome)
                shown.result = str(result)
        load.wait()
    print()
    tables.show(limits.rows(found, limit))
    print(f"\nThe percentiles are of responses with status 200, from when their requests were due.\nReport: {report}")
    logs = here.logs_command(options.stage)
    if said := limits.problem(found, limit, options.stage, logs, local=here.target.endpoint is not None):
        raise CommandError(said)
    print(limits.success(found, limit))
    return 0


if __name__ == "__main__":
    main(command)
