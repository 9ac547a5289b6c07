"""The expressions of the state machine give the same results in JSONata's own interpreter as in that of local AWS.

AWS names version 2.0.6: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT, examples
from tests.python.release.conftest import SHORT
from tests.python.release.test_engine_faults import FAULTS, TEMPORARY
from tests.python.release.world import NEW, Engine, Minute, ServiceError, World

# The time that an expression sees differs between two evaluations.
NOW = "$now()"
LEAST = 2000
COUNTS = st.integers(0, 3) | st.integers(0, 200)
MINUTES = st.lists(st.builds(Minute, *[COUNTS] * 8), max_size=4)
SETTINGS = st.fixed_dictionaries(
    {"version": st.just(NEW)},
    optional={
        "stage": st.sampled_from(["live", "test", None]),
        "steps": st.sampled_from([[], [0.1], [0.1, 0.5], [0.5, 0.1], "0.1", [None], None]),
        "step_seconds": st.sampled_from([60, 120, 90, "60", None]),
        "max_error_rate": st.sampled_from([0, 0.01, 0.5, 2, "1%"]),
        "max_extensions": st.sampled_from([0, 1, -1]),
        "min_invocations": st.sampled_from([1, 50, 0.5]),
        "ignore_alarms_reason": st.sampled_from(["", "because", None]),
        "on_inconclusive": st.sampled_from(["rollback", "promote", "stop"]),
        "smoke_test": st.booleans(),
        "hold": st.sampled_from([False, True, None]),
        "ignore_freeze_reason": st.sampled_from(["", "because", 7]),
        "ignore_rejection_reason": st.sampled_from(["", "because", 7]),
    },
)
TEXTS: st.SearchStrategy[Any] = st.sampled_from(["", "because", None, 7, [], {}])
FREEZES: st.SearchStrategy[Any] = st.sampled_from([None, False, True, 7, [], "frozen"]) | st.fixed_dictionaries(
    {}, optional={"until": st.sampled_from(["2999-01-01T00:00Z", "2026-01-01T00:00:00Z", 7]), "reason": TEXTS}
)
REQUESTS: st.SearchStrategy[Any] = st.sampled_from([None, 7, [], "skip"]) | st.fixed_dictionaries(
    {"do": st.sampled_from(["skip", "hold", "resume", "abort", "stop", None, ["skip"]])},
    optional={"release": st.sampled_from(["another", None]), "by": TEXTS, "reason": TEXTS},
)
REJECTED: st.SearchStrategy[Any] = st.lists(
    st.sampled_from([None, 7, [], {}])
    | st.fixed_dictionaries({"version": st.sampled_from([NEW, "5", None])}, optional={"at": TEXTS, "reason": TEXTS}),
    max_size=6,
)

ENDED: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"rolls_back": st.sampled_from(["owner", "another", "", None, 7])},
    optional={"status": st.sampled_from(["ABORTED", None, []])},
)
DESCRIPTIONS = st.sampled_from(
    ["", "Release owner: 10 %", "Release by hand", "Released by owner", "Released by another"]
)
WEIGHTS = st.sampled_from([{}, {NEW: 0.1}])
CONFIGURATIONS = st.fixed_dictionaries(
    {"Role": st.sampled_from(["one", "another"])},
    optional={"DeadLetterConfig": st.sampled_from([{}, {"TargetArn": "queue"}])},
)
BODIES = st.sampled_from(['{"function": {"version": "7"}}', '{"function": 7}', "[]", '"text"', "text", "", None])
RESPONSES: st.SearchStrategy[Any] = st.sampled_from([None, [], "text"]) | st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.sampled_from([200, 404, "200"]),
        "headers": st.sampled_from(
            [{"content-type": "application/json"}, {"Content-Type": "text/plain"}, {}, [], None]
        ),
        "body": BODIES,
    },
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install JSONata's own interpreter, and return the script that evaluates with it."""
    if shutil.which("npm") is None:
        assert not os.environ.get("CI"), "CI needs Node.js"
        pytest.skip("Node.js is not installed")
    directory = tmp_path_factory.mktemp("jsonata")
    for source in (ROOT / "tests" / "jsonata").iterdir():
        shutil.copy(source, directory)
    subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=directory, check=True)
    return directory / "evaluate.js"


@pytest.fixture
def evaluations(stepfunctions: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets each expression that the engine evaluates, with its variables and its result or None."""
    evaluate: Callable[..., Any] = stepfunctions._evaluate_jsonata
    found: list[Any] = []

    def record(expression: str, raw_input: Any, ctx: Any = None, result: Any = None, error_output: Any = None) -> Any:
        states = {"input": raw_input, "result": result, "errorOutput": error_output, "context": ctx}
        variables = json.dumps({**(ctx or {}).get("variables", {}), "states": states}, default=str)
        try:
            value = evaluate(expression, raw_input, ctx, result, error_output)
        except stepfunctions._ExecutionError:
            found.append((expression, variables, None))
            raise
        found.append((expression, variables, {"value": value}))
        return value

    monkeypatch.setattr(stepfunctions, "_evaluate_jsonata", record)
    return found


def test_results_equal_those_of_the_reference(
    evaluations: list[Any], engine: Engine, world: World, definition: str, reference: Path
) -> None:
    @given(SETTINGS, st.dictionaries(st.sampled_from([0.1, 0.5, 1]), MINUTES), FAULTS, st.booleans())
    @settings(max_examples=examples(50), suppress_health_check=[HealthCheck.nested_given])
    def release(chosen: Any, minutes: Any, faults: dict[str, int], firing: bool) -> None:
        world.__init__()  # type: ignore[misc]
        world.metrics = lambda weight: minutes.get(weight, [])
        world.faults = lambda state, nth: ServiceError(TEMPORARY) if nth <= faults.get(state, 0) else None
        world.firing = firing
        engine.run({"bake_seconds": 120, **chosen})

    @given(SETTINGS, FREEZES | st.none(), REQUESTS, REJECTED, st.booleans())
    @settings(max_examples=examples(50), suppress_health_check=[HealthCheck.nested_given])
    def steer(chosen: Any, frozen: Any, request: Any, rejected: Any, bad: bool) -> None:
        world.__init__()  # type: ignore[misc]
        name = f"live-{uuid.uuid4().hex}"
        if isinstance(request, dict):
            request.setdefault("release", name)
        world.metrics = lambda _weight: [Minute(new_errors=50 if bad else 0)]
        world.rejected = rejected
        # A freeze ends a release before it reads its request.
        world.control = {"frozen": frozen, "request": request}

        def before(action: str, nth: int) -> None:
            # Who holds a release, or keeps it waiting, aborts it in the end.
            if action == "getParameter" and nth > 6:
                world.control = {"request": {"do": "abort", "release": name}}

        world.before = before
        engine.run({"bake_seconds": 0, "steps": [0.1], **chosen}, name)

    @given(ENDED, DESCRIPTIONS, WEIGHTS, st.booleans())
    @settings(max_examples=examples(50), suppress_health_check=[HealthCheck.nested_given])
    def roll_back(ended: Any, description: str, weights: Any, running: bool) -> None:
        world.__init__()  # type: ignore[misc]
        world.change(Description=description, RoutingConfig={"AdditionalVersionWeights": weights})
        world.running = {"owner"} if running else set()
        engine.run(ended)

    @given(CONFIGURATIONS, RESPONSES, st.sampled_from([[], [0.1]]))
    @settings(max_examples=examples(50), suppress_health_check=[HealthCheck.nested_given])
    def check(configuration: Any, found: Any, steps: list[float]) -> None:
        world.__init__()  # type: ignore[misc]
        world.versions[NEW] = configuration
        world.responses = lambda _path, _version: found
        engine.run({"version": NEW, "steps": steps, **SHORT})

    release()
    steer()
    roll_back()
    check()
    compared = [each for each in evaluations if NOW not in each[0]]
    assert len(compared) >= examples(LEAST)
    lines = [
        f'{{"expression": {json.dumps(expression)}, "variables": {variables}}}' for expression, variables, _ in compared
    ]
    said = subprocess.run(
        ["node", reference], input="\n".join(lines), capture_output=True, text=True, check=True
    ).stdout
    different = {
        expression: (variables, expected, line)
        for (expression, variables, expected), line in zip(compared, said.splitlines(), strict=True)
        if not same(json.loads(line).get("value", ...), expected["value"] if expected else ...)
    }
    assert different == {}


def same(one: Any, other: Any) -> bool:
    """Return whether two results are equal, but for the rounding of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, (int, float)):
        return type(one) is type(other) and one == other
    return isinstance(other, (int, float)) and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
