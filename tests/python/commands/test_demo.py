"""The whole demonstration and its parts."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shutil
import types
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pathtolive.cli import CommandError
from pathtolive.demo import clone, figures, live, picture, story, traffic, versions
from pathtolive.demo.clone import Change
from pathtolive.demo.demonstration import Ended
from tests.checkout import Checkout
from tests.conftest import ROOT

CONTEXT = types.SimpleNamespace(
    aws_request_id="id",
    function_name="path-to-live",
    function_version="3",
    invoked_function_arn="arn:aws:lambda:eu-west-2:1:function:path-to-live:live",
)


def event(trace: str | None = None, **headers: str) -> dict[str, Any]:
    """Return an event of API Gateway, or of the smoke test of a release, which has no trace ID."""
    return {
        "version": "2.0",
        "rawPath": "/live/",
        "headers": headers | ({"x-amzn-trace-id": trace} if trace else {}),
        "requestContext": {"http": {"method": "GET"}, "stage": "live"},
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with Checkout(tmp_path_factory.mktemp("demo") / "checkout") as checkout:
        yield checkout


@pytest.fixture(scope="module")
def results(checkout: Checkout) -> dict[str, Any]:
    results: dict[str, Any] = json.loads(checkout.make("--silent demo JSON=1 PICTURE=docs/drawn.svg SPEED="))
    return results


@pytest.mark.parametrize(("seconds", "speed"), [(0.5, 12.0), (5.0, 12.0), (7.5, 8.0), (15.0, 4.0), (100.0, 1.0)])
def test_demonstration_is_slower_on_a_slow_machine(seconds: float, speed: float) -> None:
    assert story.fitting_speed(seconds) == speed


def test_demonstration_knows_how_many_minutes_the_alarm_evaluates() -> None:
    monitoring = (ROOT / "terraform/modules/monitoring/main.tf").read_text()
    assert f"period_seconds      = 60\n  evaluation_periods  = {story.ALARM_MINUTES}\n" in monitoring


@pytest.mark.endpoint
@pytest.mark.clock
class TestDemonstration:
    def test_requests_fail_because_of_versions_and_of_a_bad_client(self, results: dict[str, Any]) -> None:
        failed = Counter[str]()
        for minute in results["minutes"]:
            failed[minute["version"]] += minute["failed"]
        assert not failed["1"]
        assert not failed["6"]
        rolled_back = sum(one["failed"] for one in results["rolled_back"])
        assert results["failed"] == rolled_back + failed["2"] + failed["4"]
        assert failed["2"] + failed["4"] > story.FEW > failed["2"]
        assert [one["version"] for one in results["rolled_back"]] == ["3", "5"]

    def test_figures_of_a_rollback_are_measured_and_computed(self, results: dict[str, Any]) -> None:
        for one in results["rolled_back"]:
            assert 0 < one["failed"] < one["requests"] / 4
            # Two minutes with failures, and the looks that see them.
            assert 60 < one["seconds"] * results["speed"] < 400
            assert one["on_aws"]["failed"] > one["failed"]
            assert one["on_aws"]["seconds"] == pytest.approx(one["seconds"] * results["speed"] + 60)

    def test_results_have_the_releases_of_live(self, results: dict[str, Any]) -> None:
        assert [(one["version"], one["outcome"]) for one in results["releases"]] == story.OUTCOMES
        _, worse, rejected, shared, _, alarm, fix = (one["reason"] for one in results["releases"])
        assert "Odds of " in worse
        assert "was rolled back from live" in rejected
        assert "of version 2 at 50 % of the traffic" in shared
        assert "ignore_alarms_reason" in alarm
        assert story.REASON in fix

    def test_alarm_fires_from_the_bad_release_until_the_fix(self, results: dict[str, Any]) -> None:
        *_, bad, refused, fix = results["releases"]
        assert bad["started"] < results["alarms"][0][0] < refused["started"]
        assert fix["started"] < results["alarms"][-1][1]

    def test_every_step_is_in_the_timeline(self, results: dict[str, Any]) -> None:
        steps = [one["step"].split()[1] for one in results["timeline"] if one["step"].startswith("make ")]
        assert " ".join(steps) == (
            "local build promote build release release build release promote release build promote release "
            "plan build promote release release release history status plan"
        )

    def test_every_request_is_in_the_file(self, results: dict[str, Any], checkout: Checkout) -> None:
        lines = (checkout.path / ".local" / "demo" / "requests.csv").read_text().splitlines()[1:]
        assert len(lines) == results["requests"]
        assert sum(line.split(",")[2] != "200" for line in lines) == results["failed"]

    def test_picture_is_in_the_given_file(self, results: dict[str, Any], checkout: Checkout) -> None:
        assert results["picture"] == str(checkout.path / "docs" / "drawn.svg")
        assert "</svg>" in Path(results["picture"]).read_text()

    def test_local_aws_is_stopped(self, results: dict[str, Any], checkout: Checkout) -> None:
        assert (checkout.path / ".local" / "demo" / "checkout" / ".local" / "local-aws" / "lock").exists()
        done = checkout.run(".venv/bin/python .local/demo/checkout/scripts/local.py stop")
        assert "is not running" in done.stdout

    def test_checkout_does_not_change(self, results: dict[str, Any], checkout: Checkout) -> None:
        assert checkout.git("status", "--porcelain") == "?? docs/drawn.svg"
        assert checkout.git("log", "--format=%s") == "Begin"


@pytest.mark.clone
def test_demonstration_without_git_prints_a_remedy(tmp_path: Path) -> None:
    with Checkout(tmp_path / "checkout") as checkout:
        (checkout.path / ".git").rename(tmp_path / "git")
        done = checkout.run("make demo")
    assert done.returncode != 0
    assert "is not a git repository with a commit" in done.stderr
    assert "git init && git add --all" in done.stderr


Handler = Callable[[dict[str, Any], types.SimpleNamespace], dict[str, Any]]


def handler(tmp_path: Path, version: int) -> Handler:
    """Return the handler of a version."""
    shutil.copytree(ROOT / "lambda", tmp_path / "lambda")
    for number in range(2, version + 1):
        versions.CHANGES[str(number)].apply(tmp_path)
    spec = importlib.util.spec_from_file_location("changed_handler", tmp_path / versions.HANDLER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Handler = module.handler
    return found


def failed(call: Handler, *events: dict[str, Any]) -> int:
    """Return how many of some events a handler fails."""
    count = 0
    for one in events:
        try:
            assert call(one, CONTEXT)["statusCode"] == 200
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001 - whatever the version raises
            count += 1
    return count


# One request with each end that a trace ID can have.
TRACES = [event(f"Root=1-5759e988-bd862e3fe1be46a994272{end:03x}") for end in range(256)]


@pytest.mark.parametrize(("version", "failing"), [(2, 0), (3, 32), (4, 0), (5, 0), (6, 0)])
def test_version_3_fails_one_request_in_eight_but_no_smoke_test(tmp_path: Path, version: int, failing: int) -> None:
    call = handler(tmp_path, version)
    assert failed(call, event()) == 0
    assert failed(call, *TRACES) == failing


@pytest.mark.parametrize(("version", "failing"), [(4, 0), (5, 512 - versions.ROWS), (6, 0)])
def test_version_5_fails_when_an_environment_has_handled_many_requests(
    tmp_path: Path, version: int, failing: int
) -> None:
    call = handler(tmp_path, version)
    assert failed(call, *8 * TRACES) == failing
    assert failed(call, event()) == 0


@pytest.mark.parametrize("version", range(1, 7))
def test_versions_2_to_5_fail_the_requests_of_a_bad_client(tmp_path: Path, version: int) -> None:
    call = handler(tmp_path, version)
    assert failed(call, event(**story.BAD_HEADERS)) == (1 < version < 6)
    assert failed(call, event(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")) == 0


def test_last_version_returns_what_its_changes_say(tmp_path: Path) -> None:
    sent = event("Root=1-5759e988-bd862e3fe1be46a994272000", traceparent="00-0af7-b7ad-01")
    headers = handler(tmp_path, 6)(sent, CONTEXT)["headers"]
    assert (headers["X-Trace-Id"], headers["X-Cohort-Weight"]) == ("0af7", "1.000")


def test_change_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("one one two")
    with pytest.raises(CommandError, match="must contain 'one' exactly once"):
        Change("Change it", "source", {"two": "three", "one": "two"}).apply(tmp_path)
    assert (tmp_path / "source").read_text() == "one one two"


def test_settings_of_the_user_do_not_reach_the_commands_of_the_demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [path.read_text() for path in sorted((ROOT / "scripts").glob("*.py"))]
    settings = {name for source in sources for name in re.findall(r'"--[a-z0-9-]+", "([A-Z_]+)"', source)}
    assert {"STAGE", "REASON", "IGNORE_ALARMS_REASON"} <= settings
    for name in settings:
        monkeypatch.setenv(name, "set")
    assert not settings & clone.kept_environment().keys()


def observation(at: float, weights: dict[str, float], *, alarm: bool = False) -> live.Observation:
    return live.Observation(at, "1", weights, alarm)


OBSERVATIONS = [
    observation(0, {}),
    observation(1, {"2": 0.25}),
    observation(2, {"2": 0.25}, alarm=True),
    observation(3, {"2": 1.0}, alarm=True),
    observation(4, {}),
    observation(5, {"3": 0.1}),
    observation(6, {"3": 0.1}, alarm=True),
]


def test_weights_are_held_until_the_observation_of_another_one() -> None:
    assert live.held(OBSERVATIONS, "2") == [(1, 3, 0.25), (3, 4, 1.0)]
    assert live.held(OBSERVATIONS, "3") == [(5, 6, 0.1)]
    assert live.held([], "2") == []


def test_alarm_fires_until_it_is_observed_not_to() -> None:
    assert live.firing(OBSERVATIONS) == [(2, 4), (6, 6)]


REQUESTS = [traffic.Request(tenth / 10, 0.01, 200 if tenth % 7 else 500, None) for tenth in range(100)]


def test_incident_ends_when_all_traffic_is_back() -> None:
    # From the start at 1 s until 4 s are 30 requests; the failed ones are at 1.4, 2.1, 2.8, and 3.5 s.
    found = figures.incident(REQUESTS, OBSERVATIONS, "2", 1.0)
    assert (found.version, found.requests, found.failed) == ("2", 30, 4)
    assert found.seconds == pytest.approx(4 - 1.4)


def test_incident_without_failures_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"Version 2 was rolled back, but none of its requests failed\."):
        figures.incident([], OBSERVATIONS, "2", 1.0)


def test_figures_for_aws_include_the_delay_of_its_metrics() -> None:
    found = figures.Incident("3", 500, 20, 20.0)
    assert found.at_pace(12) == 240
    # A minute more at the same rate.
    assert found.on_aws(12) == (25, 300)


def test_delay_of_metrics_is_the_default_of_releases() -> None:
    module = (ROOT / "terraform" / "modules" / "release" / "variables.tf").read_text()
    assert f"metrics_delay_seconds = optional(number, {figures.METRICS_DELAY_SECONDS})" in module


def test_summary_has_what_was_measured_and_what_is_computed() -> None:
    given = {
        "requests": 2000,
        "failed": 32,
        "rolled_back": [{"version": "3", "requests": 500, "failed": 20, "seconds": 20.0, "on_aws": {}}],
        "speed": 12.0,
        "seconds": 150.2,
        "picture": "demo.svg",
    }
    assert figures.summary(given) == [
        "32 of 2000 requests failed for users (1.6 %)",
        "Version 3: 20 of 500 requests failed. All traffic was back 20.0 s after the first failure, which is 240 s at "
        "the pace of AWS",
        "On AWS, with metrics 60 s later, about 25 requests would fail in 300 s (computed, not measured)",
        "The demonstration took 150 s",
        "The picture is demo.svg",
    ]


MEASURED = story.Measured(
    started=1000.0,
    speed=6.0,
    past=[
        Ended("2", "succeeded", "", 15, 55),
        Ended("3", "rolled back", "", 65, 95),
        Ended("3", "refused", "", 98, 98),
        Ended("4", "succeeded", "", 105, 145),
    ],
    observations=[
        observation(10, {}),
        observation(20, {"2": 0.25}),
        observation(50, {}),
        observation(70, {"3": 0.1}, alarm=True),
        observation(90, {}),
    ],
    minutes=[
        live.Minute(place, version, invocations, failed)
        for place, version, invocations, failed in (
            (101, "1", 300, 0),
            (102, "1", 220, 0),
            (102, "2", 80, 0),
            (106, "2", 300, 0),
            (107, "2", 270, 0),
            (107, "3", 30, 4),
            (108, "2", 260, 0),
            (108, "3", 40, 6),
            (110, "2", 150, 6),
            (110, "4", 150, 6),
        )
    ],
    incidents=[figures.Incident("3", 1300, 10, 20.0)],
    requests=[traffic.Request(104 + second, 0.01, 500 if second < 13 else 200, None) for second in range(50)],
)


def test_picture_tells_what_was_measured_in_minutes_of_aws() -> None:
    """At 6 times the speed of AWS, a minute is 10 s, and the first one starts 10 s after the demonstration."""
    told = story.told(MEASURED)
    assert [minute.start for minute in told.minutes] == [0, 1, 1, 5, 6, 6, 7, 7, 9, 9]
    assert [(one.version, one.started, one.ended, one.rolled_back) for one in told.releases] == [
        ("2", 0.5, 4.5, False),
        ("3", 5.5, 8.5, True),
        ("4", 9.5, 13.5, False),
    ]
    assert told.releases[0].weights == [picture.Held(1.0, 4.0, 0.25)]
    assert told.releases[1].failures == "10 of 1,300 failed,\nall traffic back\nafter 2 min 0 s"
    assert told.releases[2].failures == "12 of 40 failed,\n6 in version 2 and\n6 in version 4"
    (refusal,) = told.refusals
    assert refusal.at == pytest.approx(8.8)
    assert refusal.label == story.REFUSALS["3"]
    assert told.alarms == [(6.0, 8.0)]


def test_failures_of_a_single_version_are_said_to_be_of_it() -> None:
    minutes = [live.Minute(109, "4", 300, 30), live.Minute(110, "4", 200, 20), live.Minute(110, "6", 100, 0)]
    fixed = dataclasses.replace(MEASURED, minutes=minutes, past=[Ended("6", "succeeded", "", 105, 145)])
    # The first minute begins before the release.
    (release,) = story.told(fixed).releases
    assert release.failures == "12 of 40 failed,\nall in version 4"
    good = dataclasses.replace(fixed, requests=[dataclasses.replace(one, status=200) for one in MEASURED.requests])
    assert story.told(good).releases[0].failures == ""


def drawn(tmp_path: Path, measured: story.Measured = MEASURED) -> str:
    path = tmp_path / "drawn" / "picture.svg"
    picture.draw(path, story.told(measured))
    return path.read_text()


def test_picture_is_the_same_for_the_same_measurements(tmp_path: Path) -> None:
    once, again = drawn(tmp_path / "once"), drawn(tmp_path / "again")
    assert once == again
    assert "<dc:date>" not in once


def test_picture_has_its_texts(tmp_path: Path) -> None:
    text = drawn(tmp_path)
    # For screen readers, and drawn.
    assert f"<title>{picture.TITLE}</title>" in text
    shown = re.findall(r"<!-- (.*?) -->", text, re.DOTALL)
    assert picture.TITLE in shown
    assert {"25 %", "10 %", "Version 2", "Version 3", "✗ rolled back", "limit 1 %"} <= set(shown)
    assert story.REFUSALS["3"] in shown
    assert "10 of 1,300 failed," in text


def test_picture_has_other_colors_on_a_dark_page(tmp_path: Path) -> None:
    text = drawn(tmp_path)
    start = text.index("@media (prefers-color-scheme: dark)")
    rules, shapes = text[start : text.index("</style>")], text[text.index("</style>") :]
    assert rules.count("{") == rules.count("}")
    for light in (picture.PAPER, picture.INK, picture.MUTED, picture.SPAN, picture.BAD):
        assert f'style="fill: {light}' in shapes
        assert f'[style*="fill: {light}"]{{fill:{picture.DARK[light]}!important}}' in rules


def test_versions_have_a_column_for_each_minute_of_the_metrics(tmp_path: Path) -> None:
    text = drawn(tmp_path)
    colors = story.told(MEASURED).colors()
    assert len(set(colors.values())) == len(colors)
    for version, columns in (("1", 2), ("2", 5), ("3", 2), ("4", 1)):
        assert len(re.findall(rf'style="fill: {colors[version]}; stroke: {picture.PAPER}', text)) == columns


def heights(text: str, color: str) -> list[float]:
    """Return the heights of the bounds of a color, in points."""
    found = re.findall(
        rf'<path d="M \S+ (\S+) L? ?\n?L? ?\S+ (\S+) ?\n?" clip-path[^>]*style="fill: none; stroke: {color}; '
        r"stroke-opacity: 0.45",
        text,
    )
    return [float(low) - float(high) for low, high in found]


def test_error_rates_have_the_bounds_of_wilson(tmp_path: Path) -> None:
    """4 of 30 and 6 of 40 are in the picture, and a bound of 0 of 300 is much shorter."""
    text, colors = drawn(tmp_path), story.told(MEASURED).colors()
    per_percent = HEIGHT_OF_ERRORS / picture.HIGHEST
    bounds = [(0.05215, 0.30079), (0.06955, 0.29408)]
    assert heights(text, colors["3"]) == pytest.approx(
        [100 * (high - low) * per_percent for low, high in bounds], rel=0.01
    )
    assert heights(text, colors["1"])[0] == pytest.approx(100 * 0.01316 * per_percent, rel=0.01)


# Of the part of the picture with the error rates, in points.
HEIGHT_OF_ERRORS = 0.275 * 72 * picture.HEIGHT


def test_live_url_is_in_the_output_of_status() -> None:
    url = "http://127.0.0.1:1/_aws/execute-api/a/live/"
    assert story.live_url(f"  test  2  {url.replace('live', 'test')}  \n  live  1  {url}  ") == url
    with pytest.raises(CommandError, match="no URL of live"):
        story.live_url("")
