"""The demonstration: run once as a person runs it, and its parts."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pathtolive import traffic
from pathtolive.cli import CommandError
from pathtolive.demo import picture, story
from pathtolive.demo.clone import Change
from tests.checkout import Checkout
from tests.conftest import ROOT

# One call in five fails.
RATE = 52 / 256
CONTEXT = types.SimpleNamespace(
    aws_request_id="id",
    function_name="path-to-live",
    function_version="3",
    invoked_function_arn="arn:aws:lambda:eu-west-2:1:function:path-to-live:live",
)


def event(trace: str | None = None) -> dict[str, Any]:
    """Return a request as API Gateway makes it, or as a release does, without a trace id."""
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
def figures(checkout: Checkout) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(checkout.make("--silent demo JSON=1 PICTURE=docs/drawn.svg SPEED=3"))
    return figures


@pytest.mark.endpoint
@pytest.mark.clock
class TestDemonstration:
    def test_only_version_3_failed_and_only_for_its_share(self, figures: dict[str, Any]) -> None:
        assert figures["failed"] > 0
        assert figures["failed"] / figures["calls"] < RATE / 2

    def test_traffic_was_back_within_the_third_look(self, figures: dict[str, Any]) -> None:
        assert 0 < figures["all_traffic_back"] - figures["first_failed"] < 3.5 * 60 / figures["speed"]

    def test_it_tells_the_releases_of_live(self, figures: dict[str, Any]) -> None:
        assert [(one["version"], one["outcome"]) for one in figures["releases"]] == story.OUTCOMES
        assert story.WHY in figures["releases"][-1]["reason"]
        assert figures["alarm_fired"] < figures["releases"][-1]["began"]

    def test_every_step_is_in_the_time_line(self, figures: dict[str, Any]) -> None:
        told = [step["what"].split()[1] for step in figures["time_line"] if step["what"].startswith("make ")]
        assert " ".join(told) == (
            "local build promote release plan build release build release release promote release history status plan"
        )

    def test_every_call_is_kept(self, figures: dict[str, Any], checkout: Checkout) -> None:
        lines = (checkout.path / ".local" / "demo" / "calls.csv").read_text().splitlines()[1:]
        assert len(lines) == figures["calls"]
        assert sum(line.split(",")[2] != "200" for line in lines) == figures["failed"]

    def test_the_picture_is_drawn_where_it_was_asked_for(self, figures: dict[str, Any], checkout: Checkout) -> None:
        assert figures["picture"] == str(checkout.path / "docs" / "drawn.svg")
        assert "</svg>" in Path(figures["picture"]).read_text()

    def test_its_local_aws_is_stopped(self, figures: dict[str, Any], checkout: Checkout) -> None:
        assert (checkout.path / ".local" / "demo" / "checkout" / ".local" / "local-aws" / "lock").exists()
        done = checkout.run(".venv/bin/python .local/demo/checkout/scripts/local.py stop")
        assert "is not running" in done.stdout

    def test_the_checkout_itself_is_left_alone(self, figures: dict[str, Any], checkout: Checkout) -> None:
        assert checkout.git("status", "--porcelain") == "?? docs/drawn.svg"
        assert checkout.git("log", "--format=%s") == "Begin"


@pytest.mark.clone
def test_without_git_there_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with Checkout(tmp_path / "checkout") as checkout:
        (checkout.path / ".git").rename(tmp_path / "git")
        done = checkout.run("make demo")
    assert done.returncode != 0
    assert "is no git repository with a commit" in done.stderr
    assert "git init && git add --all" in done.stderr


@pytest.mark.parametrize(("version", "failing"), [(2, 0), (3, 52), (4, 0)])
def test_version_3_fails_one_call_in_five_but_no_smoke_test(tmp_path: Path, version: int, failing: int) -> None:
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


def test_a_change_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("one one")
    with pytest.raises(CommandError, match="has not exactly one 'one'"):
        Change("Change it", "source", "one", "two").apply(tmp_path)


CALLS = [traffic.Call(second / 10, 0.01, 200, "1" if second < 50 else "2") for second in range(100)]
STORY = picture.Story(
    [picture.Span(2, 5, "release of version 2"), picture.Span(6, 9, "release of version 3", bad=True)],
    picture.Mark(6, "3 of 100 calls failed"),
    picture.Mark(8, "all traffic back"),
)


def test_the_same_calls_make_the_same_picture(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        picture.draw(tmp_path / name, CALLS, STORY, 3)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "<dc:date>" not in (tmp_path / "one.svg").read_text()


def test_traffic_is_back_at_the_first_look_without_weights_for_good() -> None:
    weights: list[dict[str, float]] = [{"2": 0.5}, {}, {"3": 0.2}, {"3": 0.2}, {}, {"4": 0.2}]
    looks = [story.Look(at, "2", each, alarm=False) for at, each in enumerate(weights)]
    assert story.taken_back(looks, "3") == 4


def test_live_is_found_in_the_table_of_stages() -> None:
    url = "http://127.0.0.1:1/_aws/execute-api/a/live/"
    assert story.live_url(f"  test  2  {url.replace('live', 'test')}  \n  live  1  {url}  ") == url
    with pytest.raises(CommandError, match="No URL of live"):
        story.live_url("")


def test_releases_are_shown_but_not_what_was_refused() -> None:
    past = [
        story.Ended("2", "released", "", 1, 2),
        story.Ended("3", "rolled back", "", 3, 4),
        story.Ended("4", "refused", "", 5, 5),
        story.Ended("4", "released", "", 6, 7),
    ]
    assert [(span.began, span.bad) for span in story.spans(past)] == [(1, False), (3, True), (6, False)]


def test_the_summary_tells_the_time_at_the_pace_of_aws() -> None:
    given = {
        "calls": 200,
        "failed": 5,
        "first_failed": 10.0,
        "all_traffic_back": 30.5,
        "speed": 3.0,
        "seconds": 150.2,
        "picture": "demo.svg",
    }
    assert story.summary(given) == [
        "5 of 200 calls failed for users (2.5 %): all of version 3",
        "From the first failed call to all traffic on version 2: 20.5 s here, which is 62 s at AWS's pace",
        "All of it took 150 s",
        "The picture is demo.svg",
    ]


def test_the_table_in_the_docs_is_what_its_formula_gives() -> None:
    row = re.compile(r"\| (\d+) \| (\d+) % \| (\d+) min \| ([\d,]+) \| ([\d,]+) \|")
    rows = row.findall((ROOT / "docs" / "demo.md").read_text())
    assert len(rows) == 6
    for calls, percent, minutes, failed, at_once in rows:
        per_second, share = int(calls), int(percent) / 100
        looks = min(math.ceil((20 / (per_second * share) + 60) / 60), 15)
        assert int(minutes) == looks
        assert int(failed.replace(",", "")) == round(per_second * share * 0.2 * 60 * looks)
        assert int(at_once.replace(",", "")) == round(per_second * 0.2 * 180)
