"""Show the whole path by itself: a good release, a bad one that is caught and rolled back, and the fix, under load.

It works in a clone of the last commit, on an embedded AWS of its own, with the commands that a person would type, and
fails where any of them does not do what it should.

Exit status: 0 all was as it should be, 1 it was not, or could not be shown.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import re
import signal
import socket
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

import clone
import picture
import pins
import releases
import target
import traffic
from clone import Change, Clone, Running
from command import LOCAL, CommandError, main, require
from load import Load
from local import speed_argument

DIRECTORY = LOCAL / "demo"
PICTURE = DIRECTORY / "demo.svg"
FUNCTION, ALARM = "path-to-live", "path-to-live-live-unhealthy"
# Slow enough for the alarm to fire still when the fix has been deployed and promoted.
DEFAULT_SPEED = 3.0
CALLS_PER_SECOND = 40.0
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 60.0

# As the alarm for durations, which clone.py sets.
PATIENT = "--max-p99-ms 10000"
GOOD = {"STEPS": "20,50", "BAKE": "12", "ARGS": PATIENT}
# The alarm needs two bad minutes, the engine only one look: so many calls there are only at the second.
BAD = {"VERSION": "3", "STEPS": "20,50", "BAKE": "120", "ARGS": f"--min-calls 230 {PATIENT}"}
WHY = "version 4 mends what they fire for"
OUTCOMES = [("2", releases.RELEASED), ("3", releases.ROLLED_BACK), ("4", "refused"), ("4", releases.RELEASED)]

HANDLER = "lambda/handler.py"
ANSWERED = "        response = routes.respond(request)\n"
SOUND = Change(
    "Keep answers out of caches",
    HANDLER,
    ANSWERED,
    f'{ANSWERED}        response.headers["Cache-Control"] = "no-store"\n',
)
# Only what comes through the API has a trace id, and 52 of its 256 possible ends divide by 5.
COHORT = "20 // (int(trace[-2:], 16) % 5)"
BROKEN = Change(
    "Tell callers their cohort",
    HANDLER,
    ANSWERED,
    f'{ANSWERED}        if trace := event.get("headers", {{}}).get("x-amzn-trace-id"):\n'
    f'            response.headers["X-Cohort"] = str({COHORT})\n',
)
FIXED = Change("Number cohorts from 0", HANDLER, COHORT, "int(trace[-2:], 16) % 5")


@dataclass(frozen=True)
class Look:
    """What live runs at a moment, in seconds since the beginning, and whether its alarm fires."""

    at: float
    version: str
    weights: Mapping[str, float]
    alarm: bool


class Watch:
    """Looks at live's alias and alarm all the while, until it is stopped."""

    def __init__(self, endpoint: str, began: float) -> None:
        self._began = began
        self._aliases, self._alarms = client(endpoint, "lambda"), client(endpoint, "cloudwatch")
        self._looks: list[Look] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def looks(self) -> list[Look]:
        """What was seen so far."""
        return list(self._looks)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            # One look that fails is no matter: what is missing is found by those who need it.
            with contextlib.suppress(OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                self._looks.append(self._look())

    def _look(self) -> Look:
        alias = self._aliases.get_alias(FunctionName=FUNCTION, Name="live")
        alarms = self._alarms.describe_alarms(AlarmNames=[ALARM], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
        return Look(
            time.time() - self._began,
            alias["FunctionVersion"],
            alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {},
            [alarm["StateValue"] for alarm in alarms] == ["ALARM"],
        )


@dataclass(frozen=True)
class Ended:
    """A release of live as its history tells it, in seconds since the beginning."""

    version: str
    outcome: str
    reason: str
    began: float
    ended: float


@dataclass
class Demonstration:
    """The clone and its embedded AWS, the clock that began with them, and what was told so far."""

    speed: float
    console: rich.console.Console
    clone: Clone = field(default_factory=lambda: Clone(DIRECTORY / "checkout", DIRECTORY / "logs"))
    port: int = 0
    began: float = field(default_factory=time.time)
    told: list[dict[str, Any]] = field(default_factory=list)
    load: Load | None = None
    watch: Watch | None = None

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.time() - self.began

    @property
    def endpoint(self) -> str:
        """URL of embedded AWS."""
        return f"http://127.0.0.1:{self.port}"

    def pinned(self, stage: str) -> pins.Pin:
        """Return what config.tf says of a stage."""
        return pins.read(self.clone.path / ".local" / "terraform" / "config.tf").stage(stage)

    def tell(self, what: str, showed: str) -> None:
        """Print a line of the time line."""
        self.told.append({"at": round(self.now, 1), "what": what, "showed": showed})
        self.console.print(f"{self.now:6.1f} s  [bold]{rich.markup.escape(what)}[/]: {rich.markup.escape(showed)}")

    def expect(self, step: str, what: str, expected: object, seen: object) -> None:
        """Go on only where something is as it should be."""
        if expected != seen:
            self.fail(step, f"{what}: {expected}", str(seen))

    def fail(self, step: str, expected: str, seen: str) -> NoReturn:
        """End the demonstration.

        Raises:
            CommandError: always.
        """
        raise CommandError(
            f"'{step}' did not do what it should, {self.now:.0f} s after the beginning.\n"
            f"Expected: {expected}\nSeen: {seen}\nWhat every command said is in {self.clone.logs}"
        )

    def wait_until(self, step: str, what: str, condition: Callable[[], bool], running: Running | None = None) -> None:
        """Wait for something to come about, while a command runs that should bring it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if running and running.process.poll() is not None:
                self.fail(step, what, f"it ended:\n{running.said[-3000:]}")
            if time.monotonic() > deadline:
                self.fail(step, f"{what} within {PATIENCE_SECONDS:.0f} s", "none")
            time.sleep(0.1)

    def make(self, targets: str, **variables: str) -> str:
        """Run make targets to their end, and return what they say."""
        return self.done(self.clone.start(targets, **variables))

    def done(self, running: Running) -> str:
        """Wait for a command to end well, and return what it said."""
        if status := running.wait():
            self.fail(running.line, "exit status 0", f"exit status {status}:\n{running.said[-3000:]}")
        return running.said

    def not_done(self, running: Running, because: str) -> str:
        """Wait for a command to end with an error that says why, and return what it said."""
        if running.wait() == 0 or because not in running.said:
            self.fail(running.line, f"an error that says '{because}'", running.said[-3000:])
        return running.said

    def expect_versions(self, step: str, **versions: str) -> None:
        """See that every alias has the version that it should, and config.tf the same of those that are pinned."""
        aliases = client(self.endpoint, "lambda")
        found = {stage: aliases.get_alias(FunctionName=FUNCTION, Name=stage)["FunctionVersion"] for stage in versions}
        self.expect(step, "versions", versions, found)
        for stage in ("test", "live"):
            self.expect(step, f"{stage} in config.tf", versions[stage], self.pinned(stage).function_version)

    def history(self) -> list[Ended]:
        """Return the releases of live that have ended, oldest first."""
        past = json.loads(self.make("history", STAGE="live", JSON="1"))
        return [
            Ended(one["to"], one["outcome"], one["reason"], self._moment(one["started"]), self._moment(one["ended"]))
            for one in reversed(past)
            if one["ended"]
        ]

    def _moment(self, time_stamp: str) -> float:
        return datetime.fromisoformat(time_stamp).timestamp() - self.began

    def weight(self, version: str) -> float:
        """Return the share of live's traffic that a version gets beside the old one."""
        looks = self.looks()
        return looks[-1].weights.get(version, 0.0) if looks else 0.0

    def looks(self) -> list[Look]:
        """Return what was seen of live so far."""
        return self.watch.looks if self.watch else []

    def calls(self) -> list[traffic.Call]:
        """Return the calls that have ended so far."""
        return self.load.calls if self.load else []

    def stop(self) -> None:
        """Stop everything."""
        if self.watch:
            self.watch.stop()
        if self.load:
            self.load.stop()
        self.clone.stop()


def play(demo: Demonstration, drawn: Path) -> dict[str, Any]:
    """Play the whole story, draw it, and return its figures.

    Raises:
        CommandError: something was not as it should be.
    """
    revision = demo.clone.begin()
    changes = clone.not_committed()
    left_out = f"; changes that are not committed are left out: {changes}" if changes else ""
    demo.tell("git clone", f"commit {revision}{left_out}")
    _first(demo)
    _second(demo)
    first_failed, back = _third_and_fourth(demo)
    return _conclude(demo, first_failed, back, drawn)


def _first(demo: Demonstration) -> None:
    line = "make local"
    demo.make("local", PORT=str(demo.port), SPEED=f"{demo.speed:g}")
    demo.expect_versions(line, dev="1", test="1", live="1")
    demo.tell(line, "dev, test and live run version 1")


def _second(demo: Demonstration) -> None:
    revision = demo.clone.commit(SOUND)
    line = "make build deploy"
    demo.make("build deploy")
    demo.expect_versions(line, dev="2", test="1", live="1")
    demo.tell(line, f"dev runs version 2, commit {revision} '{SOUND.message}'")
    line = "make promote FROM=dev TO=test"
    said = demo.make("promote", FROM="dev", TO="test")
    demo.expect_versions(line, dev="2", test="2", live="1")
    demo.tell(line, "test runs version 2 too")
    demo.load, demo.watch = Load(live_url(said), CALLS_PER_SECOND, demo.began), Watch(demo.endpoint, demo.began)
    demo.tell("load on live", f"{CALLS_PER_SECOND:g} calls a second from here on")
    began = demo.now
    release = demo.clone.start("release", STAGE="live", **GOOD)
    demo.wait_until(release.line, "weights", lambda: demo.weight("2") > 0, release)
    planned = demo.clone.start("plan")
    _expect_released(demo, release, began)
    demo.expect_versions(release.line, dev="2", test="2", live="2")
    demo.expect(planned.line, "no changes in the middle of a release", True, "No changes." in demo.done(planned))
    demo.tell("make plan", "no changes, in the middle of the release")


def _third_and_fourth(demo: Demonstration) -> tuple[float, float]:
    """Return when the first call failed, and when all traffic was back."""
    revision = demo.clone.commit(BROKEN)
    line = "make build deploy"
    demo.make("build deploy")
    demo.expect_versions(line, dev="3", test="2", live="2")
    demo.tell(line, f"dev runs version 3, commit {revision} '{BROKEN.message}': one call in five fails")
    before = demo.pinned("live")
    release = demo.clone.start("release", STAGE="live", **BAD)
    demo.wait_until(release.line, "a call that fails", lambda: traffic.figures(demo.calls()).failed > 0, release)
    first_failed = traffic.figures(demo.calls()).first_failed or 0.0
    demo.tell(release.line, f"the first call fails, at {100 * demo.weight('3'):.0f} % of the traffic")
    revision = demo.clone.commit(FIXED)
    demo.make("build deploy")
    demo.tell(line, f"dev runs version 4, commit {revision} '{FIXED.message}'; the release to live goes on meanwhile")
    promotion = demo.clone.start("promote", FROM="dev", TO="test")
    said = demo.not_done(release, "Rolled back: ")
    demo.expect(release.line, "config.tf of live", before, demo.pinned("live"))
    demo.wait_until("roll-back", "all traffic on version 2", lambda: demo.weight("3") == 0)
    back = taken_back(demo.looks(), "3")
    demo.tell(release.line, said[said.index("Rolled back: ") :].splitlines()[0])
    demo.tell("roll-back", f"all traffic on version 2, {back - first_failed:.1f} s after the first failed call")
    line = "make release STAGE=live VERSION=4"
    demo.wait_until(line, "the alarm", lambda: demo.looks()[-1].alarm)
    demo.not_done(demo.clone.start("release", STAGE="live", VERSION="4", **GOOD), "Refused: The alarm")
    demo.tell(line, f"refused, for {ALARM} fires")
    demo.done(promotion)
    demo.expect_versions(promotion.line, dev="4", test="4", live="2")
    demo.tell(promotion.line, "test runs version 4 too, live version 2 as before")
    began = demo.now
    release = demo.clone.start("release", STAGE="live", IGNORE_ALARMS=WHY, **GOOD)
    _expect_released(demo, release, began)
    demo.expect_versions(release.line, dev="4", test="4", live="4")
    return first_failed, back


def _expect_released(demo: Demonstration, release: Running, began: float) -> None:
    """See that a release goes well, without one failed call."""
    said = demo.done(release)
    found = traffic.figures(demo.calls(), began)
    demo.expect(release.line, "failed calls meanwhile", 0, found.failed)
    demo.tell(release.line, f"{said[said.index('Released: ') :].splitlines()[0]} 0 of {found.calls} calls failed")


def _conclude(demo: Demonstration, first_failed: float, back: float, drawn: Path) -> dict[str, Any]:
    planned = demo.clone.start("plan")
    status = demo.clone.start("status", JSON="1")
    if demo.load and demo.watch:
        demo.load.stop()
        demo.watch.stop()
    calls = demo.calls()
    (DIRECTORY / "calls.csv").write_text(traffic.as_csv(calls))
    found = traffic.figures(calls)
    errors = {version: lambda_errors(demo.endpoint, version) for version in "1234"}
    # 'make deploy' sees that every stage answers, so calls of its own may have failed too.
    if any(errors[version] for version in "124") or errors["3"] < found.failed:
        demo.fail(
            "the whole story", f"as many errors as calls that failed, {found.failed}, all of version 3", str(errors)
        )
    past = demo.history()
    line = "make history STAGE=live"
    demo.expect(line, "outcomes", OUTCOMES, [(one.version, one.outcome) for one in past])
    demo.expect(line, "why alarms were ignored is recorded", True, WHY in past[-1].reason)
    fired = [look.alarm for look in demo.looks() if look.at <= past[-1].began][-1:]
    demo.expect(line, "the alarm fires as the release of version 4 begins", [True], fired)
    demo.tell(line, ", ".join(f"version {version} {outcome}" for version, outcome in OUTCOMES))
    shown = {row["stage"]: (row["function_version"], row["weights"]) for row in json.loads(demo.done(status))}
    demo.expect(status.line, "versions and weights", dict.fromkeys(shown, ("4", {})), shown)
    demo.tell(status.line, "dev, test and live run version 4")
    story = picture.Story(
        spans(past),
        picture.Mark(first_failed, f"{found.failed} of {found.calls} calls failed"),
        picture.Mark(back, "all traffic back"),
    )
    picture.draw(drawn, calls, story, demo.speed)
    demo.expect(planned.line, "no changes", True, "No changes." in demo.done(planned))
    demo.tell(planned.line, "no changes, after all of it")
    return {
        "seconds": demo.now,
        "picture": str(drawn),
        "speed": demo.speed,
        "calls": found.calls,
        "failed": found.failed,
        "first_failed": first_failed,
        "all_traffic_back": back,
        "releases": [vars(one) for one in past],
        "alarm_fired": next(look.at for look in demo.looks() if look.alarm),
        "time_line": demo.told,
    }


def spans(past: Sequence[Ended]) -> list[picture.Span]:
    """Return the releases as the picture shows them, without the one that was refused."""
    labels = {
        ("2", releases.RELEASED): "release of version 2",
        ("3", releases.ROLLED_BACK): "release of version 3, rolled back",
        ("4", releases.RELEASED): "version 4, alarms ignored",
    }
    return [
        picture.Span(one.began, one.ended, label, bad=one.outcome != releases.RELEASED)
        for one in past
        if (label := labels.get((one.version, one.outcome)))
    ]


def summary(figures: Mapping[str, Any]) -> list[str]:
    """Return what the demonstration has shown, in figures."""
    found = traffic.Figures(figures["calls"], figures["failed"], figures["first_failed"])
    took = figures["all_traffic_back"] - figures["first_failed"]
    return [
        traffic.statement(found, "3"),
        f"From the first failed call to all traffic on version 2: {took:.1f} s here, which is "
        f"{took * figures['speed']:.0f} s at AWS's pace",
        f"All of it took {figures['seconds']:.0f} s",
        f"The picture is {figures['picture']}",
    ]


def taken_back(looks: Sequence[Look], version: str) -> float:
    """Return when a version that had a share of the traffic was first seen without it for good."""
    last = max(place for place, look in enumerate(looks) if version in look.weights)
    return looks[last + 1].at


def live_url(table: str) -> str:
    """Return where live answers, as the table of stages says."""
    match = re.search(r"http://\S+/live/", table)
    if match is None:
        raise CommandError(f"No URL of live is in the table of stages:\n{table}")
    return match[0]


def lambda_errors(endpoint: str, version: str) -> int:
    """Return how many errors Lambda has counted of a version by way of live."""
    answer = client(endpoint, "cloudwatch").get_metric_statistics(
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
    return int(sum(point["Sum"] for point in answer["Datapoints"]))


def client(endpoint: str, service: str) -> Any:
    """Return a boto3 client of the demonstration's embedded AWS."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - any will do
        config=botocore.config.Config(connect_timeout=10, retries={"mode": "standard"}),
    )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep another demonstration from the clone of this one, and end it where this process is told to."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for told_to_end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(told_to_end, interrupt)
    with (DIRECTORY / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("Another demonstration runs in this checkout: wait for it to end") from error
        yield


def command() -> int:
    """Return 0 where all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=PICTURE, metavar="FILE", help="where to draw it (%(default)s)")
    parser.add_argument(
        "--speed",
        type=speed_argument,
        default=DEFAULT_SPEED,
        metavar="TIMES",
        help="how much faster than on AWS waits, metric periods and alarms pass (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, and the time line to stderr")
    options = parser.parse_args()
    # Not only after the minutes that the story takes.
    require("matplotlib", target="demo")
    target.ignore_aws_settings()
    console = rich.console.Console(stderr=options.json, soft_wrap=True, highlight=False)
    with _alone():
        demo = Demonstration(options.speed, console, port=free_port())
        try:
            with console.status("The demonstration takes about three minutes"):
                figures = play(demo, options.picture.resolve())
        finally:
            demo.stop()
    for line in summary(figures):
        console.print(f"[bold]==>[/] {rich.markup.escape(line)}")
    if options.json:
        print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    main(command)
