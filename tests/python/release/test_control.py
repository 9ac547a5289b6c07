"""The parameter with which people steer the releases of a stage."""

from __future__ import annotations

import datetime
import getpass
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pathtolive import stack, target
from pathtolive.release import control
from pathtolive.release.control import Control, Freeze, MissingParameterError
from pathtolive.release.settings import read_settings
from tests.python.release.test_releases import execution

NAME = "/releases/path-to-live/live/control"
UNTIL = datetime.datetime(2999, 1, 1, 9, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
WHO = "ann@laptop"
FREEZE = {"until": "2999-01-01T08:00Z", "by": WHO, "reason": "Christmas"}
RELEASE = execution("RUNNING", name="live-release-7", settings=read_settings({"stage": "live", "version": "7"}))


class ParameterNotFound(Exception):  # noqa: N818 - AWS's name
    """The error of the client."""


class Parameters:
    """Parameter Store with one parameter. ``between`` runs between a request that reads it and the next one."""

    class exceptions:  # noqa: N801 - botocore's name
        ParameterNotFound = ParameterNotFound

    def __init__(self, *values: str) -> None:
        self.versions = list(values)
        self.between: Callable[[], None] = lambda: None

    @property
    def content(self) -> Any:
        return json.loads(self.versions[-1])

    def write(self, content: Any) -> None:
        self.versions.append(json.dumps(content))

    def get_parameter(self, Name: str) -> Any:  # noqa: N803 - AWS's name
        name, _, version = Name.partition(":")
        if name != NAME or not self.versions:
            raise ParameterNotFound
        number = int(version or len(self.versions))
        found = {"Value": self.versions[number - 1], "Version": number}
        self.between()
        return {"Parameter": found}

    def put_parameter(self, Name: str, Value: str, Overwrite: bool) -> Any:  # noqa: N803
        assert (Name, Overwrite) == (NAME, True)
        self.versions.append(Value)
        return {"Version": len(self.versions)}


@pytest.fixture
def parameters() -> Parameters:
    return Parameters("{}")


@pytest.fixture
def live(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> Control:
    monkeypatch.setattr(control, "person", lambda: WHO)
    here = stack.Stack(target.Target(None, "eu-west-2"))
    here.__dict__["deployed"] = {"stages": {"live": {"control_parameter": NAME}}, "function_name": "path-to-live"}
    live = Control(here, "live")
    vars(live)["_client"] = parameters
    return live


def test_freeze_is_written_and_read(live: Control, parameters: Parameters) -> None:
    assert live.frozen() is None
    freeze = live.freeze(UNTIL, "Christmas")
    assert parameters.content == {"frozen": FREEZE}
    assert live.frozen() == freeze == Freeze(**FREEZE)
    assert str(freeze) == "frozen by ann@laptop until 2999-01-01T08:00Z: Christmas"
    live.unfreeze()
    assert (live.frozen(), parameters.content) == (None, {})


@pytest.mark.parametrize(
    ("frozen", "text"),
    [
        (None, None),
        (False, None),
        ({"until": "2026-01-01T00:00Z"}, None),
        ({"until": "2026-01-01T00:00:30Z"}, None),
        (True, "frozen"),
        ({}, "frozen"),
        ("until Christmas", "frozen"),
        ({"reason": "Christmas"}, "frozen: Christmas"),
        # The state machine does not understand these either.
        ({"until": "2026-01-01"}, "frozen until 2026-01-01"),
        ({"until": "2026-01-01T00:00+01:00"}, "frozen until 2026-01-01T00:00+01:00"),
    ],
)
def test_freeze_that_was_written_in_the_console(
    live: Control, parameters: Parameters, frozen: Any, text: str | None
) -> None:
    parameters.write({"frozen": frozen})
    found = live.frozen()
    assert (found and str(found)) == text


@pytest.mark.parametrize("content", ["", "not JSON", "[]", "7", "null"])
def test_content_that_is_no_object_is_replaced(live: Control, parameters: Parameters, content: str) -> None:
    parameters.versions.append(content)
    assert live.frozen() is None
    live.freeze(UNTIL, "Christmas")
    assert parameters.content == {"frozen": FREEZE}


def test_request_names_the_release_and_who_and_why(live: Control, parameters: Parameters) -> None:
    parameters.write({"frozen": FREEZE})
    live.ask(RELEASE, control.HOLD, "to look")
    asked = parameters.content.pop("request")
    assert datetime.datetime.fromisoformat(asked.pop("at")).tzinfo is not None
    assert asked == {"do": "hold", "release": "live-release-7", "by": WHO, "reason": "to look"}
    assert parameters.content["frozen"] == FREEZE
    assert live.held(RELEASE)
    assert not live.held(execution("RUNNING", name="live-release-8", settings=RELEASE.settings))
    live.ask(RELEASE, control.RESUME, "seen")
    assert not live.held(RELEASE)


def test_same_request_again_is_another_one(live: Control, parameters: Parameters) -> None:
    for _ in range(2):
        live.ask(RELEASE, control.SKIP, "")
    assert parameters.versions[-1] != parameters.versions[-2]


def test_freeze_of_another_person_at_the_same_time_is_kept(live: Control, parameters: Parameters) -> None:
    others = iter([{"frozen": {**FREEZE, "by": "bob"}}, {"frozen": {**FREEZE, "by": "eve"}}])

    def between() -> None:
        if (other := next(others, None)) is not None:
            parameters.write(other)

    parameters.between = between
    live.ask(RELEASE, control.SKIP, "seen enough")
    assert parameters.content["frozen"]["by"] == "eve"
    assert parameters.content["request"]["do"] == "skip"


def test_stage_without_the_parameter(live: Control, parameters: Parameters) -> None:
    parameters.versions.clear()
    assert live.frozen() is None
    assert not live.held(RELEASE)
    with pytest.raises(MissingParameterError, match="Create it with: make deploy"):
        live.freeze(UNTIL, "Christmas")


def test_person_is_the_user_or_the_one_who_started_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTOR", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    assert control.person() == WHO
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    assert control.person() == "octocat@github"


def test_reason_that_the_state_machine_would_shorten_is_refused() -> None:
    assert control.reason("x" * 200) == "x" * 200
    with pytest.raises(ValueError, match="has 201 characters, and can have 200"):
        control.reason("x" * 201)
