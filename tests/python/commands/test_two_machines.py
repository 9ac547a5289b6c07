"""Two machines that deploy and release one service, each with a config.tf of its own, which may be outdated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import Checkout
from tests.conftest import get
from tests.waiting import eventually

SOURCE = Path("lambda/service/routes.py")
CONFIG = Path(".local/terraform/config.tf")
FUNCTION = "path-to-live"
STAGES = ("dev", "test", "live")

pytestmark = [pytest.mark.endpoint, pytest.mark.long]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield the machine with local AWS, on which every stage runs version 1."""
    with Checkout(tmp_path_factory.mktemp("first") / "checkout", TARGET="local") as checkout:
        checkout.make("local")
        checkout.keep_provider()
        yield checkout


@pytest.fixture(scope="module")
def second(first: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """Yield another machine with the same commit, and a config.tf that pins nothing."""
    with Checkout(
        tmp_path_factory.mktemp("second") / "checkout", TARGET="local", AWS_ENDPOINT_URL=first.endpoint
    ) as checkout:
        checkout.port = first.port
        checkout.git("fetch", "--quiet", str(first.path), "main")
        checkout.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        checkout.make("build")
        checkout.keep_provider()
        yield checkout
        checkout.port = "1"


def change(checkout: Checkout, old: str, new: str) -> None:
    checkout.edit(SOURCE, f'"{old}"', f'"{new}"')
    checkout.commit(f"Say {new}")


def versions(checkout: Checkout) -> list[str]:
    """Return the versions of dev, test, and live."""
    aliases = checkout.client("lambda").list_aliases(FunctionName=FUNCTION)["Aliases"]
    found = {alias["Name"]: alias["FunctionVersion"] for alias in aliases}
    return [found[stage] for stage in STAGES]


def pins(checkout: Checkout) -> list[str]:
    """Return the pinned versions of test and live."""
    return re.findall(r'(?:test|live) = \{ function_version = "(\d+)"', (checkout.path / CONFIG).read_text())


def ping(checkout: Checkout) -> list[int]:
    return [get(f"{row['url']}ping")[0] for row in checkout.status().values()]


@pytest.mark.story
class TestTwoMachines:
    """Each test continues the one before it."""

    def test_deployment_without_pins_pins_what_runs(self, first: Checkout, second: Checkout) -> None:
        said = second.make("deploy")
        assert "No changes." in said
        assert re.search(
            r"Pinned live to version 1 .*\nNo release, promotion, or rollback in the history of live", said
        )
        assert (versions(first), pins(second)) == (["1", "1", "1"], ["1", "1"])

    def test_releases_of_one_machine_are_not_undone_by_the_other(self, first: Checkout, second: Checkout) -> None:
        change(first, "Hello, World!", "Hello 2")
        first.edit(SOURCE, '    "/": {"GET": hello},', '    "/": {"GET": hello},\n    "/ping": {"GET": hello},')
        first.edit("terraform/main.tf", '"ANY /build-info"', '"ANY /build-info", "ANY /ping"')
        first.make("build deploy")
        first.make("promote FROM=dev TO=test")
        first.make("promote FROM=test TO=live")
        assert (versions(first), pins(first), ping(first)) == (["2", "2", "2"], ["2", "2"], [200, 200, 200])
        change(second, "Hello, World!", "Hello 3")
        said = second.make("build plan") + second.make("deploy")
        # The second machine does not have the route, and deploys that to dev.
        assert (versions(first), pins(second), ping(first)) == (["3", "2", "2"], ["1", "1"], [404, 200, 200])
        assert said.count("live differs from its pin in config.tf, and stays as it is:") == 2
        assert said.count("active   version 2, gateway deployment 2\n  pin      version 1, gateway deployment 1") == 4
        assert re.search(r"live runs version 2 since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(live-promote-2-", said)
        assert "make record STAGE=live TARGET=local" in said
        assert "make deploy STAGE=live TARGET=local" in said

    def test_promotion_of_one_stage_moves_no_other(self, first: Checkout, second: Checkout) -> None:
        second.make("promote FROM=dev TO=test")
        assert (versions(first), pins(second), ping(first)) == (["3", "3", "2"], ["3", "1"], [404, 404, 200])

    def test_active_version_can_be_recorded(self, first: Checkout, second: Checkout) -> None:
        assert "Recorded version 2 for live in config.tf" in second.make("record STAGE=live")
        assert "config.tf already records version 2 for live" in second.make("record STAGE=live")
        assert (versions(first), pins(second), ping(first)) == (["3", "3", "2"], ["3", "2"], [404, 404, 200])
        assert "No changes." in second.make("plan")

    def test_rollback_of_one_machine_is_not_undone_by_the_other(self, first: Checkout, second: Checkout) -> None:
        second.make("rollback STAGE=live")
        assert (versions(first), pins(second)) == (["3", "3", "1"], ["3", "1"])
        assert (versions(first), pins(first)) == (["3", "3", "1"], ["2", "2"])
        said = first.make("deploy")
        # The first machine deploys its own source, which is older.
        assert (versions(first), pins(first)) == (["4", "3", "1"], ["2", "2"])
        assert re.search(r"live runs version 1 since \S+ \S+ \(live-rollback-1-", said)

    def test_named_stage_moves_to_the_pin_of_its_machine(self, first: Checkout, second: Checkout) -> None:
        first.make("deploy STAGE=live")
        assert (versions(second), ping(second)[2]) == (["4", "3", "2"], 200)

    def test_release_that_nobody_watched_is_recorded_by_the_machine_that_deploys_next(
        self, first: Checkout, second: Checkout
    ) -> None:
        name = "live-release-3-20261128T120000Z-1a2b"
        first.client("stepfunctions").start_execution(
            stateMachineArn=first.state_machine("live"), name=name, input=json.dumps({"version": "3", "steps": []})
        )
        eventually(lambda: versions(first)[2] == "3", 60)
        said = second.make("deploy")
        assert re.search(rf"Pinned live to version 3 .*\n{name} succeeded, and was not recorded\.", said)
        assert (versions(first)[1:], pins(second), pins(first)) == (["3", "3"], ["3", "3"], ["2", "2"])
        assert "live differs from its pin in config.tf, and stays as it is:" in first.make("plan")
