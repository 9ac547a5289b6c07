"""The steps of make stress, its verdict, and the command on local AWS."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pathtolive.load import limits
from pathtolive.load.arrivals import Outcome, Step, arrivals
from pathtolive.load.limits import Result
from pathtolive.load.routes import Throttle
from tests.checkout import Checkout
from tests.python.emulator.contract.state_machines import trust
from tests.python.emulator.contract.support import Api, Function

PATHS = ["/", "/build-info"]
THROTTLE = Throttle("/", 100, 50)
SOURCE = """
    def handler(event, context):
        return {"statusCode": 500 if event["rawPath"].endswith("/broken") else 200}
"""


def test_steps_go_up_to_the_throttle_and_past_it() -> None:
    assert limits.plan(None, THROTTLE, PATHS, 10) == [
        Step(25, 10, PATHS),
        Step(50, 10, PATHS),
        Step(80, 10, PATHS),
        Step(150, 11, ["/"]),
        Step(200, 10.5, ["/"]),
    ]


def test_given_steps_past_the_throttle_use_up_the_burst_first() -> None:
    assert limits.plan([100, 101], THROTTLE, PATHS, 2) == [Step(100, 2, PATHS), Step(101, 52, ["/"])]


def measured(
    rates: list[float], status: Callable[[int, int], int], *, late: float = 0, took: float = 0.01
) -> list[Result]:
    """Return the results of steps of 10 s; ``status`` is that of a request, by the number of its step and its place."""
    steps = [Step(rate, 10, PATHS) for rate in rates]
    found = limits.results(steps)
    for arrival in arrivals(steps):
        result = found[arrival.step]
        answer = status(result.number, result.requests)
        result.add(Outcome(arrival.turn, arrival.step, arrival.at, arrival.path, late, took, answer, None))
    return found


def as_expected(step: int, place: int) -> int:
    """Return 429 for every second request of the second step."""
    return 429 if step == 2 and place % 2 else 200


def problem(found: list[Result], *, local: bool = False) -> str | None:
    return limits.problem(found, THROTTLE, "dev", "make logs STAGE=dev", local=local)


def test_throttled_requests_past_the_throttle_are_no_problem() -> None:
    found = measured([100, 200], as_expected)
    assert problem(found) is None
    assert limits.success(found, THROTTLE) == (
        "API Gateway throttled 1000 requests past 100 per second. All other requests succeeded."
    )
    assert limits.rows(found, THROTTLE)[1] == {
        "step": "2",
        "rate": "200/s",
        "sent": "200/s",
        "throttle": "past",
        "200": "1000",
        "429": "1000",
        "failed": "0",
        "p50 ms": "10",
        "p95 ms": "10",
        "p99 ms": "10",
    }


def test_steps_within_the_throttle_show_no_throttling() -> None:
    found = measured([50, 100], lambda *_: 200)
    assert problem(found) is None
    assert limits.success(found, THROTTLE) == (
        "Every request succeeded. No step was past the throttle of 100 requests per second."
    )


@pytest.mark.parametrize(("status", "described"), [(500, "with status 500"), (404, "with status 404"), (0, "without")])
@pytest.mark.parametrize("step", [1, 2])
def test_one_failed_request_is_a_problem(status: int, described: str, step: int) -> None:
    said = problem(
        measured(
            [100, 200], lambda number, place: status if (number, place) == (step, 7) else as_expected(number, place)
        )
    )
    total, rate = {1: (1000, 100), 2: (2000, 200)}[step]
    assert said is not None
    assert said.startswith(f"1 of {total} requests failed in step {step} ({rate} requests per second): 1 of GET /build")
    assert described in said


def test_throttled_request_within_the_throttle_is_a_problem() -> None:
    assert problem(measured([100, 200], lambda step, place: 429 if place == 7 else 200)) == (
        "1 of 1000 requests received 429 in step 1 (100 requests per second), within the throttle of 100 requests per "
        "second. Run the command again. If the result is the same, look at the limits of the stage in API Gateway."
    )


def test_throttle_that_never_throttles_is_a_problem() -> None:
    said = "None of 2000 requests received 429 in step 2 (200 requests per second), past the throttle of 100 requests "
    assert problem(measured([100, 200], lambda *_: 200)) == f"{said}per second. {limits.REPEAT}"


def test_throttle_need_not_show_in_every_step() -> None:
    """It is applied on a best-effort basis.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
    """
    assert problem(measured([100, 150, 200], lambda step, place: 429 if step == 3 and place % 2 else 200)) is None


def test_machine_that_cannot_keep_the_rate_is_named_before_failures() -> None:
    found = measured([80, 200], lambda step, place: 500, late=1)
    assert problem(found) == (
        "This machine sent only 72 requests per second in step 1 (80 requests per second), so the step does not show "
        "what dev can do. Use a faster machine, or lower rates, such as RATE=18,36."
    )


def test_machine_that_sends_requests_together_is_named_before_the_throttle() -> None:
    """After a pause, it sends the requests that were due meanwhile."""
    assert problem(measured([100], lambda step, place: 429 if place == 7 else 200, late=0.2)) == (
        "This machine sent 1000 of 1000 requests late in step 1 (100 requests per second), and then too many together: "
        "1 received 429. The step does not show what dev can do. Use an idle machine, or lower rates."
    )


def test_machine_that_still_goes_past_the_throttle_is_fast_enough() -> None:
    assert problem(measured([200], lambda step, place: 429 if place % 2 else 200, late=1)) is None
    assert "sent only 180" in str(problem(measured([200], lambda *_: 200, late=1)))
    assert "sent only 90" in str(problem(measured([200], lambda step, place: 429 if place % 2 else 200, late=5.5)))


def test_slow_local_aws_is_named() -> None:
    """It runs on the same machine, and what it cannot do says nothing about AWS."""
    found = measured([200], lambda step, place: 0 if place == 7 else 200, took=5)
    assert str(problem(found, local=True)).endswith(
        "Local AWS answered only 99.9 requests per second on this machine, so this does not show what AWS does. Use "
        "lower rates, such as RATE=24,49, or lower the throttle."
    )
    assert "Local AWS" not in str(problem(found, local=False))
    assert "Local AWS" in str(problem(measured([200], lambda *_: 200, took=5), local=True))
    assert "Local AWS" not in str(problem(measured([200], lambda *_: 200), local=True))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with Checkout(tmp_path_factory.mktemp("stress") / "checkout") as checkout:
        yield checkout


@pytest.fixture
def api(endpoint: str, client: Callable[[str], Any]) -> Iterator[Api]:
    """Yield a service with two routes, one of which is the same for GET and other methods, and without Terraform."""
    name, tags = "path-to-live", {"Service": "path-to-live"}
    role_name = f"stress-{uuid.uuid4().hex[:8]}"
    role = client("iam").create_role(RoleName=role_name, AssumeRolePolicyDocument=trust("lambda"))["Role"]["Arn"]
    function = Function(client, name, role)
    function.alias("dev", function.create(SOURCE, Tags=tags))
    made = client("apigatewayv2").create_api(Name=name, ProtocolType="HTTP", Tags=tags)["ApiId"]
    api = Api(client, endpoint, function, made)
    api.permit(qualifier="dev")
    integration = api.integrate(":dev")
    api.route("ANY /", integration)
    api.route("GET /other", integration)
    limit = {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 20}
    api.stage(
        AutoDeploy=True,
        DefaultRouteSettings={"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 1000},
        RouteSettings={"ANY /": limit},
    )
    yield api
    client("apigatewayv2").delete_api(ApiId=made)
    client("lambda").delete_function(FunctionName=name)
    client("iam").delete_role(RoleName=role_name)


def stress(checkout: Checkout, api: Api, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [".venv/bin/python", "scripts/stress.py", "--stage", "dev"]
    settings = {"TARGET": "local", "AWS_ENDPOINT_URL": api.endpoint, "STEP_SECONDS": "2"}
    return checkout.execute(*command, **settings, **variables)


def row(output: str, step: int) -> list[str]:
    (found,) = re.findall(rf"^{step} .*$", output, re.MULTILINE)
    return str(found).split()


def test_stress_sees_only_the_throttle_fail_and_only_past_it(checkout: Checkout, api: Api) -> None:
    done = stress(checkout, api)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dev allows 50 requests per second, with a burst of 20. Sending 605 requests to" in done.stdout
    for step, rate, requests in ((1, "12.5/s", 25), (2, "25/s", 50), (3, "40/s", 80)):
        _, asked, _, throttle, *counts = row(done.stdout, step)[:7]
        assert (asked, throttle, counts) == (rate, "within", [str(requests), "0", "0"])
    for step, rate, requests in ((4, "75/s", 210), (5, "100/s", 240)):
        _, asked, _, throttle, succeeded, throttled, failed = row(done.stdout, step)[:7]
        assert (asked, throttle, failed) == (rate, "past", "0")
        assert int(succeeded) + int(throttled) == requests
        # The burst of 20 is used up in the time that the step lasts longer, and 50 more succeed in each second.
        assert int(throttled) > requests / 10
    (report,) = re.findall(r"^Report: (.*)$", done.stdout, re.MULTILINE)
    assert Path(report).is_relative_to(checkout.path / ".local")
    assert "step 5 (100/s): /" in Path(report).read_text()
    assert re.fullmatch(r"API Gateway throttled \d+ requests past 50 per second\. .*", done.stdout.splitlines()[-1])


def test_stress_names_the_route_that_fails(checkout: Checkout, api: Api) -> None:
    api.route("GET /broken", api.integrate(":dev"))
    done = stress(checkout, api, RATE="20,30")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "13 of 40 requests failed in step 1 (20 requests per second): 13 of GET /broken with status 500. "
        "To find the cause, run: make logs STAGE=dev TARGET=local."
    )
    assert row(done.stdout, 1)[4:7] == ["27", "0", "13"]


def test_stress_reads_the_limits_of_the_route_or_of_the_stage(checkout: Checkout, api: Api) -> None:
    done = stress(checkout, api, ROUTE="/other", RATE="10")
    assert "dev allows 1000 requests per second, with a burst of 1000. Sending 20 requests to" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "Every request succeeded. No step was past the throttle of 1000 requests per second."
    )
    api.gateway.delete_stage(ApiId=api.id, StageName="dev")
    api.stage(AutoDeploy=True)
    done = stress(checkout, api)
    assert done.returncode == 1
    assert "The stage dev has no throttle in API Gateway. Set one in the variable throttles." in done.stderr


def test_load_requests_every_route_of_the_stage(checkout: Checkout, api: Api) -> None:
    command = ["timeout", "--signal=INT", "8", ".venv/bin/python", "scripts/load.py", "--stage", "dev", "--rate", "10"]
    done = checkout.execute(*command, TARGET="local", AWS_ENDPOINT_URL=api.endpoint)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "Sending 10 requests per second to" in lines[0]
    assert lines[0].endswith(": /, /other. Ctrl-C stops it.")
    window = r"\d\d:\d\d:\d\d–\d\d:\d\d:\d\d  (Total: )?"
    counted = [int(line.split(" requests, 0 failed, ")[0]) for line in (re.sub(window, "", line) for line in lines[1:])]
    # On a busy machine, responses come after the first five seconds.
    assert 1 <= counted[0] <= 50
    assert sum(counted[:-1]) == counted[-1]
    assert all(re.match(window, line) for line in lines[1:])
