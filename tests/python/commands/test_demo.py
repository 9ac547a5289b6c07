"""The whole demonstration and its parts."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pathtolive.cli import CommandError
from pathtolive.demo import picture, story, traffic
from pathtolive.demo.clone import Change
from tests.checkout import Checkout
from tests.conftest import ROOT

# One request in five fails.
RATE = 52 / 256
CONTEXT = types.SimpleNamespace(
    aws_request_id="id",
    function_name="path-to-live",
    function_version="3",
    invoked_function_arn="arn:aws:lambda:eu-west-2:1:function:path-to-live:live",
)


def event(trace: str | None = None) -> dict[str, Any]:
    """Return an event of API Gateway, or of the smoke test of a release, which has no trace ID."""
    return {
        "version": "2.0",
        "rawPath": "/live/",
        "headers": {"x-amzn-trace-id": trace} if trace else {},
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


@pytest.mark.parametrize(("seconds", "speed"), [(0.5, 4.5), (5.0, 4.5), (7.5, 3.0), (15.0, 1.5), (60.0, 1.0)])
def test_demonstration_is_slower_on_a_slow_machine(seconds: float, speed: float) -> None:
    assert story.fitting_speed(seconds) == speed


@pytest.mark.endpoint
@pytest.mark.clock
class TestDemonstration:
    def test_only_version_3_failed_and_only_for_its_share(self, results: dict[str, Any]) -> None:
        assert results["failed"] > 0
        assert results["failed"] / results["requests"] < RATE / 2

    def test_rollback_completes_within_the_third_reading(self, results: dict[str, Any]) -> None:
        assert 0 < results["rolled_back"] - results["first_failed"] < 3.5 * 60 / results["speed"]

    def test_results_have_the_releases_of_live(self, results: dict[str, Any]) -> None:
        assert [(one["version"], one["outcome"]) for one in results["releases"]] == story.OUTCOMES
        assert story.REASON in results["releases"][-1]["reason"]
        assert results["alarm_fired"] < results["releases"][-1]["started"]

    def test_every_step_is_in_the_timeline(self, results: dict[str, Any]) -> None:
        steps = [one["step"].split()[1] for one in results["timeline"] if one["step"].startswith("make ")]
        assert " ".join(steps) == (
            "local build promote release plan build release build release release promote release history status plan"
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


@pytest.mark.parametrize(("version", "failing"), [(2, 0), (3, 52), (4, 0)])
def test_version_3_fails_one_request_in_five_but_no_smoke_test(tmp_path: Path, version: int, failing: int) -> None:
    shutil.copytree(ROOT / "lambda", tmp_path / "lambda")
    for change in [story.SOUND, story.BROKEN, story.FIXED][: version - 1]:
        change.apply(tmp_path)
    spec = importlib.util.spec_from_file_location("changed_handler", tmp_path / story.HANDLER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.handler(event(), CONTEXT)["statusCode"] == 200
    failed = 0
    for end in range(256):
        try:
            module.handler(event(f"Root=1-5759e988-bd862e3fe1be46a994272{end:03x}"), CONTEXT)
        except ZeroDivisionError:
            failed += 1
    assert failed == failing


def test_change_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("one one")
    with pytest.raises(CommandError, match="must contain 'one' exactly once"):
        Change("Change it", "source", "one", "two").apply(tmp_path)


REQUESTS = [traffic.Request(second / 10, 0.01, 200, "1" if second < 50 else "2") for second in range(100)]
STORY = picture.Story(
    [picture.Span(2, 5, "release of version 2"), picture.Span(6, 9, "release of version 3", failed=True)],
    picture.Mark(6, "3 of 100 requests failed"),
    picture.Mark(8, "all traffic back"),
)


def test_picture_is_the_same_for_the_same_requests(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        picture.draw(tmp_path / name, REQUESTS, STORY, 3)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "<dc:date>" not in (tmp_path / "one.svg").read_text()


def drawn(tmp_path: Path, requests: list[traffic.Request], speed: float) -> str:
    path = tmp_path / "drawn" / "picture.svg"
    picture.draw(path, requests, STORY, speed)
    return path.read_text()


def test_picture_has_a_title(tmp_path: Path) -> None:
    text = drawn(tmp_path, REQUESTS, 3)
    # For screen readers, and drawn.
    assert f"<title>{picture.TITLE}</title>" in text
    assert f"<!-- {picture.TITLE} -->" in text


def test_picture_has_other_colors_on_a_dark_page(tmp_path: Path) -> None:
    text = drawn(tmp_path, REQUESTS, 3)
    start = text.index("@media (prefers-color-scheme: dark)")
    rules, shapes = text[start : text.index("</style>")], text[text.index("</style>") :]
    assert rules.count("{") == rules.count("}")
    for light in (picture.PAPER, picture.INK, picture.MUTED):
        assert f'style="fill: {light}' in shapes
        assert f'[style*="fill: {light}"]{{fill:{picture.DARK[light]}!important}}' in rules


def test_picture_has_a_bar_of_failures_for_each_minute_of_the_metrics(tmp_path: Path) -> None:
    """At 30 times the speed of AWS, ten seconds are five minutes."""
    failing = [traffic.Request(tenth / 10, 0.01, 500 if tenth % 2 else 200, "1") for tenth in range(100)]
    bars = len(re.findall(rf'style="fill: {picture.BAD}"', drawn(tmp_path, failing, 30)))
    fewer = len(re.findall(rf'style="fill: {picture.BAD}"', drawn(tmp_path, failing, 6)))
    assert (bars, fewer) == (fewer + 4, bars - 4)


def test_rollback_time_is_that_of_the_first_observation_without_the_weight() -> None:
    weights: list[dict[str, float]] = [{"2": 0.5}, {}, {"3": 0.2}, {"3": 0.2}, {}, {"4": 0.2}]
    observations = [story.Observation(at, "2", each, alarm=False) for at, each in enumerate(weights)]
    assert story.rollback_time(observations, "3") == 4


def test_live_url_is_in_the_output_of_status() -> None:
    url = "http://127.0.0.1:1/_aws/execute-api/a/live/"
    assert story.live_url(f"  test  2  {url.replace('live', 'test')}  \n  live  1  {url}  ") == url
    with pytest.raises(CommandError, match="no URL of live"):
        story.live_url("")


def test_picture_shows_releases_that_were_not_refused() -> None:
    past = [
        story.Ended("2", "succeeded", "", 1, 2),
        story.Ended("3", "rolled back", "", 3, 4),
        story.Ended("4", "refused", "", 5, 5),
        story.Ended("4", "succeeded", "", 6, 7),
    ]
    assert [(span.started, span.failed) for span in story.spans(past)] == [(1, False), (3, True), (6, False)]


def test_summary_has_the_time_at_the_pace_of_aws() -> None:
    given = {
        "requests": 200,
        "failed": 5,
        "first_failed": 10.0,
        "rolled_back": 30.5,
        "speed": 3.0,
        "seconds": 150.2,
        "picture": "demo.svg",
    }
    assert story.summary(given) == [
        "5 of 200 requests failed for users (2.5 %), all of them of version 3",
        "The rollback was complete 20.5 s after the first failure, which is 62 s at AWS's pace",
        "The demonstration took 150 s",
        "The picture is demo.svg",
    ]
