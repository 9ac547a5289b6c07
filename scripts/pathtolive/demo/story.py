"""The demonstration: five releases of live under load, in a clone."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pathtolive.cli import CommandError
from pathtolive.demo import clone, figures, live, picture, traffic, versions
from pathtolive.demo.clone import Running
from pathtolive.demo.demonstration import DIRECTORY, Demonstration, Ended, line
from pathtolive.release.executions import REFUSED, ROLLED_BACK, SUCCEEDED

PICTURE = DIRECTORY / "demo.svg"
# If Terraform starts in this time, the machine can serve the requests of this speed.
DEFAULT_SPEED = 12.0
TERRAFORM_SECONDS = 5.0
# At the pace of AWS, so that a minute of the metrics has the same number of requests at each speed.
REQUESTS_PER_SECOND = 5.0
# A client whose header versions 2 to 5 cannot read. It first sends one request in 20, for most of a minute: too few for
# the alarm. Later, it sends so many that the alarm fires until they can be read.
BAD_HEADERS = {"traceparent": "none"}
FEW, FEW_PER_SECOND, MANY_PER_SECOND = 12, 0.25, 0.5
# How many minutes of the metrics the alarm evaluates (terraform/modules/monitoring).
ALARM_MINUTES = 3
CAREFUL = {"STEPS": "25", "STEP_SECONDS": "60"}
BAKED = CAREFUL | {"BAKE_SECONDS": "60"}
PATIENT = {"STEPS": "50", "STEP_SECONDS": "60", "BAKE_SECONDS": "0", "ARGS": "--max-extensions 10"}
VERSIONS = ["1", *versions.CHANGES]
REASON = "version 6 ignores the header"
OUTCOMES = [
    ("2", SUCCEEDED),
    ("3", ROLLED_BACK),
    ("3", REFUSED),
    ("4", SUCCEEDED),
    ("5", ROLLED_BACK),
    ("6", REFUSED),
    ("6", SUCCEEDED),
]
# What the picture says of each release.
LABELS = {
    "2": ("good", "✓ succeeded"),
    "3": ("bad", "✗ rolled back"),
    "4": ("a shared fault", "✓ succeeded"),
    "5": ("bad with all traffic", "✗ rolled back in the bake"),
    "6": ("the fix, with a reason", "✓ succeeded"),
}
REFUSALS = {"3": "version 3 again: refused", "6": "version 6: refused, the alarm fires"}


@dataclass(frozen=True)
class Measured:
    """What the demonstration measured. ``started`` is its start, in seconds since the epoch."""

    started: float
    speed: float
    past: Sequence[Ended]
    observations: Sequence[live.Observation]
    minutes: Sequence[live.Minute]
    incidents: Sequence[figures.Incident]
    requests: Sequence[traffic.Request]


def play(demo: Demonstration, drawn: Path) -> dict[str, Any]:
    """Run the demonstration, draw its picture, and return its results.

    Raises:
        CommandError: a command did not do what was expected.
    """
    _begin(demo)
    _good(demo)
    _bad(demo)
    _rejected(demo)
    _shared_fault(demo)
    _bad_with_all_traffic(demo)
    _fix(demo)
    return _conclude(demo, drawn)


def fitting_speed(terraform_seconds: float) -> float:
    """Return the speed of local AWS at which the commands keep up: a slow or busy machine gets a lower one."""
    return max(1.0, round(min(DEFAULT_SPEED, DEFAULT_SPEED * TERRAFORM_SECONDS / terraform_seconds), 1))


def _begin(demo: Demonstration) -> None:
    revision = demo.clone.create()
    changes = clone.not_committed()
    uncommitted = f", without the uncommitted changes of {changes} files" if changes else ""
    demo.report("git clone", f"commit {revision}{uncommitted}")
    if not demo.speed:
        demo.speed = fitting_speed(demo.clone.terraform_seconds())
    demo.make("local", PORT=str(demo.port), SPEED=f"{demo.speed:g}")
    demo.expect_versions("make local", dev="1", test="1", live="1")
    demo.report("make local", f"dev, test, and live run version 1, at {demo.speed:g} times the speed of AWS")


def _good(demo: Demonstration) -> None:
    """Release a good version, with a bake."""
    demo.deploy("2")
    demo.promote("2")
    demo.url = live_url(demo.make("status"))
    demo.send(REQUESTS_PER_SECOND)
    demo.watch = live.Watch(demo.endpoint, demo.started)
    demo.report("load on live", f"{REQUESTS_PER_SECOND * demo.speed:g} requests per second from now on")
    release = demo.clone.start("release", STAGE="live", **BAKED)
    demo.deploy("3")
    _expect_success(demo, release, "2")


def _bad(demo: Demonstration) -> None:
    """Release a version that is bad, directly from dev: the comparison finds it."""
    started = demo.now
    release = demo.clone.start("release", STAGE="live", VERSION="3")
    demo.wait_until(release.line, "a request that fails", lambda: demo.failures(started).failed > 0, release)
    demo.report(release.line, f"the first request fails, at {100 * demo.weight('3'):.0f} % of the traffic")
    demo.deploy("4")
    _expect_rollback(demo, release, "3", before="2", reason="Odds of ")


def _rejected(demo: Demonstration) -> None:
    """Release the version again."""
    release = demo.clone.start("release", STAGE="live", VERSION="3")
    demo.promote("4")
    demo.report(release.line, demo.failed(release, "Refused: Version 3 was rolled back"))
    demo.expect_live(release.line, "2")


def _shared_fault(demo: Demonstration) -> None:
    """Release a good version while a client sends requests that both versions fail."""
    # Together with the failures of version 3, the few of the other client can be too many for the alarm.
    evaluated = 60 * ALARM_MINUTES / demo.speed
    demo.wait_until(
        "make release STAGE=live",
        f"{ALARM_MINUTES} minutes without failures, and no alarm",
        lambda: not demo.failures(demo.now - evaluated).failed and not demo.alarm(),
    )
    release = demo.clone.start("release", STAGE="live", **PATIENT)
    demo.wait_until(release.line, "weights", lambda: demo.weight("4") > 0, release)
    # The release compares whole minutes.
    minute = live.minute(demo.speed)
    demo.wait_until(release.line, "the next minute", lambda: live.minute(demo.speed) > minute, release)
    client = demo.send(FEW_PER_SECOND, number=FEW, headers=BAD_HEADERS)
    demo.report("another client", f"sends {FEW} requests that both versions fail")
    demo.deploy("5")
    demo.promote("5")
    _expect_success(demo, release, "4")
    found = traffic.totals(client.requests)
    demo.expect("another client", "requests, and how many failed", (FEW, FEW), (found.requests, found.failed))


def _bad_with_all_traffic(demo: Demonstration) -> None:
    """Release a version that fails once it has got many requests: the bake finds it."""
    release = demo.clone.start("release", STAGE="live", **CAREFUL)
    demo.wait_until(release.line, "weights", lambda: demo.weight("5") > 0, release)
    demo.expect("make plan", "no changes", True, "No changes." in demo.make("plan"))
    demo.report("make plan", "no changes, although a release is in progress")
    demo.deploy("6")
    demo.promote("6")
    _expect_rollback(demo, release, "5", before="4")
    weights = [weight for _, _, weight in live.held(demo.observations(), "5")]
    demo.expect(release.line, "weights of version 5", [0.25, 1.0], weights)


def _fix(demo: Demonstration) -> None:
    """Release the fix of what makes the alarm fire."""
    client = demo.send(MANY_PER_SECOND, headers=BAD_HEADERS)
    demo.report("another client", "is back, and sends more")
    # After two whole minutes of its requests, the alarm no longer depends on earlier ones.
    minute = live.minute(demo.speed)
    demo.wait_until("another client", "the alarm", lambda: live.minute(demo.speed) > minute + 2 and demo.alarm())
    release = demo.clone.start("release", STAGE="live", **BAKED)
    demo.failed(release, "Refused: The alarm")
    demo.report(release.line, f"refused, because the alarm {live.ALARM} fires")
    release = demo.clone.start("release", STAGE="live", IGNORE_ALARMS_REASON=REASON, **BAKED)
    _expect_success(demo, release, "6")
    *_, (fixed, _, _) = live.held(demo.observations(), "6")
    found = traffic.totals(client.requests, fixed)
    demo.expect("another client", "failed requests since version 6 has all traffic", 0, found.failed)
    demo.report("another client", f"none of its {found.requests} requests to version 6 in the bake and later failed")


def _expect_success(demo: Demonstration, release: Running, version: str) -> None:
    """Verify that a release succeeds, and that requests fail during it only for other clients than the load."""
    output = demo.done(release)
    demo.expect_live(release.line, version)
    held = live.held(demo.observations(), version)
    found, of_load = (
        traffic.totals(requests, held[0][0], held[-1][1]) for requests in (demo.requests(), demo.clients[0].requests)
    )
    demo.expect(release.line, "failed requests of the load", 0, of_load.failed)
    demo.report(release.line, f"{found.failed} of {found.requests} requests failed. {line(output, 'Succeeded: ')}")


def _expect_rollback(demo: Demonstration, release: Running, version: str, *, before: str, reason: str = "") -> None:
    """Verify that a release is rolled back for a reason, and that config.tf keeps the version from before."""
    found = demo.failed(release, "Rolled back: ")
    demo.expect(release.line, f"a reason with '{reason}'", True, reason in found)
    demo.expect_live(release.line, before)
    demo.wait_until("rollback", f"all traffic on version {before}", lambda: demo.weight(version) == 0)
    demo.report(release.line, found)


def _conclude(demo: Demonstration, drawn: Path) -> dict[str, Any]:
    planned = demo.clone.start("plan")
    status = demo.clone.start("status", JSON="1")
    past = demo.history()
    demo.stop_clients()
    step = "make history STAGE=live"
    demo.expect(step, "outcomes", OUTCOMES, [(one.version, one.outcome) for one in past])
    demo.expect(step, "the reason for ignoring alarms", True, REASON in past[-1].reason)
    fired = [one.alarm for one in demo.observations() if one.at <= past[-1].started][-1:]
    demo.expect(step, "the alarm fires at the start of the release of version 6", [True], fired)
    demo.report(step, ", ".join(f"version {version} {outcome}" for version, outcome in OUTCOMES))
    shown = {row["stage"]: (row["function_version"], row["weights"]) for row in json.loads(demo.done(status))}
    demo.expect(status.line, "versions and weights", dict.fromkeys(shown, ("6", {})), shown)
    demo.report(status.line, "dev, test, and live run version 6")
    requests = demo.requests()
    (DIRECTORY / "requests.csv").write_text(traffic.as_csv(requests))
    minutes = live.minutes(demo.endpoint, VERSIONS, demo.started + requests[0].at, demo.speed)
    _expect_errors(demo, minutes)
    incidents = [
        figures.incident(requests, demo.observations(), one.version, one.started)
        for one in past
        if one.outcome == ROLLED_BACK
    ]
    measured = Measured(demo.started, demo.speed, past, demo.observations(), minutes, incidents, requests)
    story = told(measured)
    picture.draw(drawn, story)
    demo.expect(planned.line, "no changes", True, "No changes." in demo.done(planned))
    demo.report(planned.line, "no changes")
    found = traffic.totals(requests)
    return {
        "seconds": demo.now,
        "picture": str(drawn),
        "speed": demo.speed,
        "requests": found.requests,
        "failed": found.failed,
        "rolled_back": [
            {**vars(one), "on_aws": dict(zip(("failed", "seconds"), one.on_aws(demo.speed), strict=True))}
            for one in incidents
        ],
        "releases": [vars(one) for one in past],
        "alarms": live.firing(demo.observations()),
        "minutes": [vars(one) for one in story.minutes],
        "timeline": demo.timeline,
    }


def _expect_errors(demo: Demonstration, minutes: Sequence[live.Minute]) -> None:
    """Verify by Lambda's metrics that only those versions failed that should have failed, and for the right clients."""
    errors = {version: sum(one.failed for one in minutes if one.version == version) for version in VERSIONS}
    load, *others = (traffic.totals(client.requests).failed for client in demo.clients)
    expected = {"1": 0, "2 and 4": sum(others), "3 and 5": load, "6": 0}
    # Requests of 'make deploy', which verifies that every stage answers, can have failed too.
    found = {
        "1": errors["1"],
        "2 and 4": errors["2"] + errors["4"],
        "3 and 5": min(load, errors["3"] + errors["5"]),
        "6": errors["6"],
    }
    demo.expect("load on live", "errors by version", expected, found)


def told(measured: Measured) -> picture.Story:
    """Return what the picture shows of what was measured."""
    first = min(one.start for one in measured.minutes)

    def moment(at: float) -> float:
        """Return a moment, in seconds since the start of the demonstration, in minutes of the metrics."""
        return (measured.started + at) * measured.speed / 60 - first

    failures = {one.version: failed_text(one, measured.speed) for one in measured.incidents}
    failures |= {one.version: shared_text(one, measured) for one in measured.past if one.outcome == SUCCEEDED}
    return picture.Story(
        [dataclasses.replace(one, start=one.start - first) for one in measured.minutes],
        [
            picture.Release(
                one.version,
                moment(one.started),
                moment(one.ended),
                LABELS[one.version],
                [
                    picture.Held(moment(start), moment(end), weight)
                    for start, end, weight in live.held(measured.observations, one.version)
                ],
                one.outcome == ROLLED_BACK,
                failures.get(one.version, ""),
            )
            for one in measured.past
            if one.outcome != REFUSED
        ],
        [picture.Mark(moment(one.started), REFUSALS[one.version]) for one in measured.past if one.outcome == REFUSED],
        [(moment(start), moment(end)) for start, end in live.firing(measured.observations)],
        measured.speed,
    )


def failed_text(incident: figures.Incident, speed: float) -> str:
    """Return lines for the picture with the figures of an incident."""
    minutes, seconds = divmod(round(incident.at_pace(speed)), 60)
    return f"{incident.failed:,} of {incident.requests:,} failed,\nall traffic back\nafter {minutes} min {seconds} s"


def shared_text(release: Ended, measured: Measured) -> str:
    """Return lines for the picture with the failures during a release that succeeded; nothing if there are none."""
    found = traffic.totals(measured.requests, release.started, release.ended)
    started, ended = (int((measured.started + at) * measured.speed / 60) for at in (release.started, release.ended))
    failed = Counter[str]()
    for one in measured.minutes:
        if started <= one.start <= ended:
            failed[one.version] += one.failed
    # The first and the last minute are longer than the release.
    by_version = [f"{failed[version]} in version {version}" for version in VERSIONS if failed[version]]
    alone = [f"all in version {version}" for version in VERSIONS if failed[version] >= found.failed]
    where = " and\n".join(alone or by_version)
    return f"{found.failed} of {found.requests:,} failed,\n{where}" if found.failed else ""


def live_url(output: str) -> str:
    """Return the URL of live in the output of make status."""
    match = re.search(r"http://\S+/live/", output)
    if match is None:
        raise CommandError(f"The output of make status has no URL of live:\n{output}")
    return match[0]


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
