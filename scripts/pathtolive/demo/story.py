"""The demonstration: deployments and releases under load, in a clone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import boto3
import botocore.config
import botocore.exceptions
import rich.console
import rich.markup

from pathtolive import config_file
from pathtolive.cli import LOCAL, CommandError
from pathtolive.demo import clone, picture, traffic
from pathtolive.demo.clone import Change, Clone, Running
from pathtolive.demo.load import Load
from pathtolive.release.executions import REFUSED, ROLLED_BACK, SUCCEEDED

DIRECTORY = LOCAL / "demo"
PICTURE = DIRECTORY / "demo.svg"
FUNCTION, ALARM = "path-to-live", "path-to-live-live-unhealthy"
# If Terraform starts in this time, a plan fits into a release at this speed, and the alarm still fires when the fix is
# deployed and promoted.
DEFAULT_SPEED = 4.5
TERRAFORM_SECONDS = 5.0
REQUESTS_PER_SECOND = 40.0
POLL_SECONDS = 0.25
PATIENCE_SECONDS = 60.0
# The limit of the duration alarm, which clone.py sets.
PATIENT = "--max-p99-ms 10000"
SOUND_RELEASE = {"STEPS": "20", "STEP_SECONDS": "60", "BAKE_SECONDS": "60", "ARGS": PATIENT}
BROKEN_RELEASE = {"VERSION": "3", "STEPS": "20,50", "ARGS": PATIENT}
REASON = "version 4 fixes the cause"
OUTCOMES = [("2", SUCCEEDED), ("3", ROLLED_BACK), ("4", REFUSED), ("4", SUCCEEDED)]
HANDLER = "lambda/handler.py"
ANSWERED = "        response = routes.respond(request)\n"
SOUND = Change(
    "Disable caching of responses",
    HANDLER,
    ANSWERED,
    f'{ANSWERED}        response.headers["Cache-Control"] = "no-store"\n',
)
# Only requests through the API have a trace ID. Of the 256 values of its last two digits, 52 are multiples of 5.
COHORT = "20 // (int(trace[-2:], 16) % 5)"
BROKEN = Change(
    "Return the cohort of a request",
    HANDLER,
    ANSWERED,
    f'{ANSWERED}        if trace := event.get("headers", {{}}).get("x-amzn-trace-id"):\n'
    f'            response.headers["X-Cohort"] = str({COHORT})\n',
)
FIXED = Change("Number cohorts from 0", HANDLER, COHORT, "int(trace[-2:], 16) % 5")


@dataclass(frozen=True)
class Observation:
    """The alias of live and the state of its alarm at a moment, in seconds since the start."""

    at: float
    version: str
    weights: Mapping[str, float]
    alarm: bool


class Watch:
    """Reads the alias and the alarm of live repeatedly, until it is stopped."""

    def __init__(self, endpoint: str, started: float) -> None:
        self._started = started
        self._aliases, self._alarms = client(endpoint, "lambda"), client(endpoint, "cloudwatch")
        self._observations: list[Observation] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def observations(self) -> list[Observation]:
        """The observations so far."""
        return list(self._observations)

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            # A request that fails is repeated soon.
            with contextlib.suppress(OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                self._observations.append(self._observe())

    def _observe(self) -> Observation:
        alias = self._aliases.get_alias(FunctionName=FUNCTION, Name="live")
        alarms = self._alarms.describe_alarms(AlarmNames=[ALARM], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return Observation(
            time.time() - self._started,
            alias["FunctionVersion"],
            alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {},
            [alarm["StateValue"] for alarm in alarms] == ["ALARM"],
        )


@dataclass(frozen=True)
class Ended:
    """A release of live in its history, with times in seconds since the start."""

    version: str
    outcome: str
    reason: str
    started: float
    ended: float


@dataclass
class Demonstration:
    """The clone, its local AWS, the load, and the timeline since the start.

    ``speed`` is that of local AWS, relative to AWS; 0 lets the demonstration choose one that fits the machine.
    """

    speed: float
    console: rich.console.Console
    clone: Clone = field(default_factory=lambda: Clone(DIRECTORY / "checkout", DIRECTORY / "logs"))
    port: int = 0
    started: float = field(default_factory=time.time)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    load: Load | None = None
    watch: Watch | None = None

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.time() - self.started

    @property
    def endpoint(self) -> str:
        """URL of local AWS."""
        return f"http://127.0.0.1:{self.port}"

    def pinned(self, stage: str) -> config_file.Pin:
        """Return the pin of a stage."""
        return config_file.read(self.clone.path / ".local" / "terraform" / "config.tf").stage(stage)

    def report(self, step: str, result: str) -> None:
        """Add a step and its result to the timeline, and print them."""
        self.timeline.append({"at": round(self.now, 1), "step": step, "result": result})
        self.console.print(f"{self.now:6.1f} s  [bold]{rich.markup.escape(step)}[/]: {rich.markup.escape(result)}")

    def expect(self, step: str, what: str, expected: object, found: object) -> None:
        """Fail if a result is not the expected one."""
        if expected != found:
            self.fail(step, f"{what}: {expected}", str(found))

    def fail(self, step: str, expected: str, found: str) -> NoReturn:
        """End the demonstration.

        Raises:
            CommandError: always.
        """
        raise CommandError(
            f"'{step}' failed, {self.now:.0f} s after the start.\n"
            f"Expected: {expected}\nFound: {found}\nThe output of each command is in {self.clone.logs}"
        )

    def wait_until(self, step: str, what: str, condition: Callable[[], bool], running: Running | None = None) -> None:
        """Wait until a condition is met, and fail if a command that is to meet it ends first."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if running and running.process.poll() is not None:
                self.fail(step, what, f"the command ended:\n{running.output[-3000:]}")
            if time.monotonic() > deadline:
                self.fail(step, f"{what} within {PATIENCE_SECONDS:.0f} s", "nothing")
            time.sleep(0.1)

    def make(self, targets: str, **variables: str) -> str:
        """Return the output of make targets."""
        return self.done(self.clone.start(targets, **variables))

    def done(self, running: Running) -> str:
        """Wait until a command succeeds, and return its output."""
        if status := running.wait():
            self.fail(running.line, "exit status 0", f"exit status {status}:\n{running.output[-3000:]}")
        return running.output

    def failed(self, running: Running, error: str) -> str:
        """Wait until a command fails with an error, and return its output."""
        if running.wait() == 0 or error not in running.output:
            self.fail(running.line, f"an error that contains '{error}'", running.output[-3000:])
        return running.output

    def expect_versions(self, step: str, **versions: str) -> None:
        """Verify the version of each alias, and the pins of test and live."""
        aliases = client(self.endpoint, "lambda")
        found = {stage: aliases.get_alias(FunctionName=FUNCTION, Name=stage)["FunctionVersion"] for stage in versions}
        self.expect(step, "versions", versions, found)
        for stage in ("test", "live"):
            self.expect(step, f"pin of {stage}", versions[stage], self.pinned(stage).function_version)

    def history(self) -> list[Ended]:
        """Return the releases of live that have ended, oldest first."""
        past = json.loads(self.make("history", STAGE="live", JSON="1"))
        return [
            Ended(one["to"], one["outcome"], one["reason"], self._moment(one["started"]), self._moment(one["ended"]))
            for one in reversed(past)
            if one["ended"]
        ]

    def _moment(self, time_stamp: str) -> float:
        return datetime.fromisoformat(time_stamp).timestamp() - self.started

    def weight(self, version: str) -> float:
        """Return the weight of a version in the alias of live."""
        observations = self.observations()
        return observations[-1].weights.get(version, 0.0) if observations else 0.0

    def observations(self) -> list[Observation]:
        """Return the observations of live so far."""
        return self.watch.observations if self.watch else []

    def requests(self) -> list[traffic.Request]:
        """Return the requests that have ended so far."""
        return self.load.requests if self.load else []

    def stop(self) -> None:
        """Stop the load, the commands, and local AWS."""
        if self.watch:
            self.watch.stop()
        if self.load:
            self.load.stop()
        self.clone.stop()


def play(demo: Demonstration, drawn: Path) -> dict[str, Any]:
    """Run the demonstration, draw its picture, and return its results.

    Raises:
        CommandError: a command did not do what was expected.
    """
    revision = demo.clone.create()
    changes = clone.not_committed()
    uncommitted = f", without the uncommitted changes of {changes} files" if changes else ""
    demo.report("git clone", f"commit {revision}{uncommitted}")
    if not demo.speed:
        demo.speed = fitting_speed(demo.clone.terraform_seconds())
    _first(demo)
    _second(demo)
    first_failed, back = _third_and_fourth(demo)
    return _conclude(demo, first_failed, back, drawn)


def fitting_speed(terraform_seconds: float) -> float:
    """Return the speed of local AWS at which the commands keep up: a slow or busy machine gets a lower one."""
    return max(1.0, round(min(DEFAULT_SPEED, DEFAULT_SPEED * TERRAFORM_SECONDS / terraform_seconds), 1))


def _first(demo: Demonstration) -> None:
    line = "make local"
    demo.make("local", PORT=str(demo.port), SPEED=f"{demo.speed:g}")
    demo.expect_versions(line, dev="1", test="1", live="1")
    demo.report(line, f"dev, test, and live run version 1, at {demo.speed:g} times the speed of AWS")


def _second(demo: Demonstration) -> None:
    revision = demo.clone.commit(SOUND)
    line = "make build deploy"
    demo.make("build deploy")
    demo.expect_versions(line, dev="2", test="1", live="1")
    demo.report(line, f"dev runs version 2, commit {revision} '{SOUND.message}'")
    line = "make promote FROM=dev TO=test"
    demo.make("promote", FROM="dev", TO="test")
    demo.expect_versions(line, dev="2", test="2", live="1")
    demo.report(line, "test runs version 2")
    demo.load, demo.watch = (
        Load(live_url(demo.make("status")), REQUESTS_PER_SECOND, demo.started),
        Watch(demo.endpoint, demo.started),
    )
    demo.report("load on live", f"{REQUESTS_PER_SECOND:g} requests per second from now on")
    started = demo.now
    release = demo.clone.start("release", STAGE="live", **SOUND_RELEASE)
    demo.wait_until(release.line, "weights", lambda: demo.weight("2") > 0, release)
    planned = demo.clone.start("plan")
    _expect_success(demo, release, started)
    demo.expect_versions(release.line, dev="2", test="2", live="2")
    demo.expect(planned.line, "no changes during a release", True, "No changes." in demo.done(planned))
    demo.report("make plan", "no changes during the release")


def _third_and_fourth(demo: Demonstration) -> tuple[float, float]:
    """Return the times of the first failure and of the end of the rollback."""
    revision = demo.clone.commit(BROKEN)
    line = "make build deploy"
    demo.make("build deploy")
    demo.expect_versions(line, dev="3", test="2", live="2")
    demo.report(line, f"dev runs version 3, commit {revision} '{BROKEN.message}': one request in five fails")
    before = demo.pinned("live")
    release = demo.clone.start("release", STAGE="live", **BROKEN_RELEASE)
    demo.wait_until(release.line, "a request that fails", lambda: traffic.totals(demo.requests()).failed > 0, release)
    first_failed = traffic.totals(demo.requests()).first_failed or 0.0
    demo.report(release.line, f"the first request fails, at {100 * demo.weight('3'):.0f} % of the traffic")
    revision = demo.clone.commit(FIXED)
    demo.make("build deploy")
    demo.report(line, f"dev runs version 4, commit {revision} '{FIXED.message}'; the release to live continues")
    promotion = demo.clone.start("promote", FROM="dev", TO="test")
    output = demo.failed(release, "Rolled back: ")
    demo.expect(release.line, "pin of live", before, demo.pinned("live"))
    demo.wait_until("rollback", "all traffic on version 2", lambda: demo.weight("3") == 0)
    back = rollback_time(demo.observations(), "3")
    demo.report(release.line, _line(output, "Rolled back: "))
    demo.report("rollback", f"all traffic on version 2, {back - first_failed:.1f} s after the first failure")
    line = "make release STAGE=live VERSION=4"
    demo.wait_until(line, "the alarm", lambda: demo.observations()[-1].alarm)
    demo.failed(demo.clone.start("release", STAGE="live", VERSION="4", **SOUND_RELEASE), "Refused: The alarm")
    demo.report(line, f"refused, because the alarm {ALARM} fires")
    demo.done(promotion)
    demo.expect_versions(promotion.line, dev="4", test="4", live="2")
    demo.report(promotion.line, "test runs version 4, and live still runs version 2")
    started = demo.now
    release = demo.clone.start("release", STAGE="live", IGNORE_ALARMS_REASON=REASON, **SOUND_RELEASE)
    _expect_success(demo, release, started)
    demo.expect_versions(release.line, dev="4", test="4", live="4")
    return first_failed, back


def _expect_success(demo: Demonstration, release: Running, started: float) -> None:
    """Verify that a release succeeds, and that no request fails during it."""
    output = demo.done(release)
    found = traffic.totals(demo.requests(), started)
    demo.expect(release.line, "failed requests during the release", 0, found.failed)
    demo.report(release.line, f"0 of {found.requests} requests failed. {_line(output, 'Succeeded: ')}")


def _conclude(demo: Demonstration, first_failed: float, back: float, drawn: Path) -> dict[str, Any]:
    planned = demo.clone.start("plan")
    status = demo.clone.start("status", JSON="1")
    if demo.load and demo.watch:
        demo.load.stop()
        demo.watch.stop()
    requests = demo.requests()
    (DIRECTORY / "requests.csv").write_text(traffic.as_csv(requests))
    found = traffic.totals(requests)
    errors = {version: lambda_errors(demo.endpoint, version) for version in "1234"}
    # Requests of 'make deploy', which verifies that every stage answers, can have failed too.
    if any(errors[version] for version in "124") or errors["3"] < found.failed:
        demo.fail(
            "load on live", f"at least {found.failed} errors of version 3, and none of other versions", str(errors)
        )
    past = demo.history()
    line = "make history STAGE=live"
    demo.expect(line, "outcomes", OUTCOMES, [(one.version, one.outcome) for one in past])
    demo.expect(line, "the reason for ignoring alarms", True, REASON in past[-1].reason)
    fired = [one.alarm for one in demo.observations() if one.at <= past[-1].started][-1:]
    demo.expect(line, "the alarm fires at the start of the release of version 4", [True], fired)
    demo.report(line, ", ".join(f"version {version} {outcome}" for version, outcome in OUTCOMES))
    shown = {row["stage"]: (row["function_version"], row["weights"]) for row in json.loads(demo.done(status))}
    demo.expect(status.line, "versions and weights", dict.fromkeys(shown, ("4", {})), shown)
    demo.report(status.line, "dev, test, and live run version 4")
    story = picture.Story(
        spans(past),
        picture.Mark(first_failed, f"{found.failed} of {found.requests} requests failed"),
        picture.Mark(back, "all traffic back"),
    )
    picture.draw(drawn, requests, story, demo.speed)
    demo.expect(planned.line, "no changes", True, "No changes." in demo.done(planned))
    demo.report(planned.line, "no changes")
    return {
        "seconds": demo.now,
        "picture": str(drawn),
        "speed": demo.speed,
        "requests": found.requests,
        "failed": found.failed,
        "first_failed": first_failed,
        "rolled_back": back,
        "releases": [vars(one) for one in past],
        "alarm_fired": next(one.at for one in demo.observations() if one.alarm),
        "timeline": demo.timeline,
    }


def spans(past: Sequence[Ended]) -> list[picture.Span]:
    """Return the releases for the picture, without the one that was refused."""
    labels = {
        ("2", SUCCEEDED): "release of version 2",
        ("3", ROLLED_BACK): "release of version 3, rolled back",
        ("4", SUCCEEDED): "version 4, alarms ignored",
    }
    return [
        picture.Span(one.started, one.ended, label, failed=one.outcome != SUCCEEDED)
        for one in past
        if (label := labels.get((one.version, one.outcome)))
    ]


def summary(results: Mapping[str, Any]) -> list[str]:
    """Return the results of the demonstration as lines."""
    found = traffic.Totals(results["requests"], results["failed"], results["first_failed"])
    took = results["rolled_back"] - results["first_failed"]
    return [
        traffic.statement(found, "3"),
        f"The rollback was complete {took:.1f} s after the first failure, which is {took * results['speed']:.0f} s at "
        "AWS's pace",
        f"The demonstration took {results['seconds']:.0f} s",
        f"The picture is {results['picture']}",
    ]


def rollback_time(observations: Sequence[Observation], version: str) -> float:
    """Return the time of the first observation after which a version has no weight."""
    last = max(place for place, one in enumerate(observations) if version in one.weights)
    return observations[last + 1].at


def _line(output: str, start: str) -> str:
    """Return the line of an output that starts with a text."""
    return output[output.index(start) :].splitlines()[0]


def live_url(output: str) -> str:
    """Return the URL of live in the output of make status."""
    match = re.search(r"http://\S+/live/", output)
    if match is None:
        raise CommandError(f"The output of make status has no URL of live:\n{output}")
    return match[0]


def lambda_errors(endpoint: str, version: str) -> int:
    """Return the errors of a version through the alias live, from Lambda's metric."""
    response = client(endpoint, "cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[
            {"Name": "FunctionName", "Value": FUNCTION},
            {"Name": "Resource", "Value": f"{FUNCTION}:live"},
            {"Name": "ExecutedVersion", "Value": version},
        ],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Sum"],
    )
    return int(sum(point["Sum"] for point in response["Datapoints"]))


def client(endpoint: str, service: str) -> Any:
    """Return a boto3 client of the demonstration's local AWS."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - any will do
        config=botocore.config.Config(connect_timeout=10, retries={"mode": "standard"}),
    )


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Lock the clone against another demonstration, and end this one when the process gets a signal."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    with (DIRECTORY / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(
                "Another demonstration is running in this checkout. Wait for it to end, then run the command again."
            ) from error
        yield
