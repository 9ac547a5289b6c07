"""Whatever the input is, an execution ends with a name, and the alias is where the report says."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import examples
from tests.python.release.inputs import INPUTS, NONSENSE
from tests.python.release.world import BASELINE, NEW, Engine, World
from tests.terraform.support import SOURCE

# The errors that start no rollback.
ERRORS = set(
    re.findall(
        r'"(\w+)"',
        (SOURCE / "modules/release/main.tf").read_text().partition("  errors = [")[2].partition("]")[0],
    )
)
LEFT = st.sampled_from(
    [
        ("An alias", {}),
        ("Rolled back by owner", {}),
        ("Released by live-release-7", {}),
        ("Release live-release-7: 10 % to version 7", {NEW: 0.1}),
        ("Release owner: 10 % to version 7", {NEW: 0.1}),
        ("An alias", {NEW: 0.1}),
    ]
)


CONTROLS: st.SearchStrategy[Any] = st.sampled_from(
    [{}, {}, "text", [], {"frozen": True}, {"frozen": {"until": "2026-01-01T00:00Z"}}]
) | st.fixed_dictionaries({}, optional={"frozen": NONSENSE, "request": NONSENSE})
REJECTED: st.SearchStrategy[Any] = st.sampled_from([[], [], [{"version": NEW}], "text"]) | NONSENSE


@given(content=INPUTS, left=LEFT, control=CONTROLS, rejected=REJECTED, running=st.booleans())
# The state machine is a fixture, but each example starts with a new world.
@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_execution_ends_with_a_name(
    engine: Engine,
    world: World,
    *,
    content: Any,
    left: tuple[str, dict[str, float]],
    control: Any,
    rejected: Any,
    running: bool,
) -> None:
    world.__init__()  # type: ignore[misc]
    description, weights = left
    world.change(Description=description, RoutingConfig={"AdditionalVersionWeights": weights})
    world.running = {"owner"} if running else set()
    world.control, world.rejected = control, rejected
    done = engine.run(content)
    assert (done.status, done.error) == ("SUCCEEDED", None) or (done.status == "FAILED" and done.error in ERRORS)
    outcome = done.report["outcome"]
    rolls_back = isinstance(content, dict) and "rolls_back" in content
    assert outcome in {"succeeded", "rolled back", "refused"}
    assert rolls_back <= (done.status == "SUCCEEDED")
    moved = outcome == "succeeded" and not rolls_back
    expected = {} if outcome in {"succeeded", "rolled back"} else weights
    assert world.state() == (content["version"] if moved else BASELINE, expected)
    assert world.notifications[-1]["Subject"].startswith("live: ")
