"""The versions that the demonstration commits, builds, and deploys. Version 1 is that of the clone."""

from __future__ import annotations

from pathtolive.demo.clone import Change

HANDLER = "lambda/handler.py"
RESPONDED = "        response = routes.respond(request)\n"
PARENT = 'parent := request.headers.get("traceparent"'
COHORT = "int(trace[-2:], 16) % 8"
ROW = "next(SAMPLES)"
# With a row for one request in four, an execution environment fills them with about 500 requests: more than it gets in
# a step of a few minutes with a quarter of the traffic, and fewer than in a bake.
ROWS = 128

CHANGES = {
    # A client that sends no such header, or a sound one, does not notice that it must contain a dash.
    "2": Change(
        "Return the trace ID of a client",
        HANDLER,
        {
            RESPONDED: f"{RESPONDED}        if {PARENT}):\n"
            '            response.headers["X-Trace-Id"] = parent.split("-")[1]\n'
        },
    ),
    # Only requests through the API have this header. Of the 256 values of its last two digits, 32 are multiples of 8.
    "3": Change(
        "Return the weight of a request's cohort",
        HANDLER,
        {
            RESPONDED: f'{RESPONDED}        if trace := request.headers.get("x-amzn-trace-id"):\n'
            f"            cohort = {COHORT}\n"
            '            response.headers["X-Cohort-Weight"] = f"{1 / cohort:.3f}"\n'
        },
    ),
    "4": Change("Number cohorts from 1", HANDLER, {COHORT: f"{COHORT} + 1"}),
    "5": Change(
        "Keep the durations of the requests of two cohorts",
        HANDLER,
        {
            "import time\n": "import itertools\nimport time\n",
            "def handler(": f"DURATIONS = [0.0] * {ROWS}\nSAMPLES = itertools.count()\n\n\ndef handler(",
            '            response.headers["X-Cohort-Weight"] = ': "            if cohort <= 2:\n"
            f"                DURATIONS[{ROW}] = time.perf_counter() - invocation.started\n"
            '            response.headers["X-Cohort-Weight"] = ',
        },
    ),
    "6": Change(
        "Ignore malformed headers, and overwrite old durations",
        HANDLER,
        {
            f"if {PARENT}):": f'if "-" in ({PARENT}, "")):',
            ROW: f"{ROW} % len(DURATIONS)",
        },
    ),
}
