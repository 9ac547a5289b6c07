"""Generated inputs of the state machine: settings, rollbacks, and events, valid and not."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

NOTHING: Strategy = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text(max_size=5)
NONSENSE: Strategy = st.recursive(
    NOTHING, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
VERSIONS = st.sampled_from(["1", "2", "6", "7", "7", "7", "999", "0", "07", "$LATEST", "7\n"])
# No value lets a release wait for long.
SOUND: dict[str, Strategy] = {
    "stage": st.sampled_from(["live", "test"]),
    "steps": st.sampled_from([[], [], [0.1], [0.1, 0.5]]),
    "step_seconds": st.just(60),
    "bake_seconds": st.sampled_from([0, 60]),
    "max_error_rate": st.sampled_from([0, 0.01, 1]),
    "max_p99_ms": st.sampled_from([1, 1000]),
    "min_invocations": st.sampled_from([1, 50]),
    "max_extensions": st.sampled_from([0, 1]),
    "on_inconclusive": st.sampled_from(["rollback", "promote"]),
    "ignore_alarms_reason": st.sampled_from(["", "because"]),
    "metrics_delay_seconds": st.just(0),
    "smoke_test": st.booleans(),
    # Nobody approves these releases.
    "hold": st.just(False),
    "ignore_freeze_reason": st.sampled_from(["", "because"]),
    "ignore_rejection_reason": st.sampled_from(["", "because"]),
}
SHORT = {"steps": [], "step_seconds": 60, "bake_seconds": 0, "metrics_delay_seconds": 0, "max_extensions": 0}
RELEASES = st.fixed_dictionaries({"version": VERSIONS}, optional=SOUND).map(lambda given: SHORT | given)
MISTAKES = st.tuples(RELEASES, st.sampled_from([*SOUND, "version", "mine"]), NONSENSE).map(
    lambda drawn: drawn[0] | {drawn[1]: drawn[2]}
)
NAMES = st.sampled_from(["live-release-7", "owner", "", "a:b", "x" * 80]) | NONSENSE
ENDED = st.fixed_dictionaries(
    {"rolls_back": NAMES},
    optional={"status": st.sampled_from(["ABORTED", "TIMED_OUT", "FAILED"]) | NONSENSE, "version": VERSIONS},
)
# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "source": st.just("aws.states"),
        "detail": NONSENSE
        | st.fixed_dictionaries(
            {},
            optional={
                "name": NAMES,
                "status": st.sampled_from(["ABORTED", "TIMED_OUT"]) | NONSENSE,
                "input": st.sampled_from(["not json", "", None]) | (RELEASES | ENDED | NONSENSE).map(json.dumps),
                "inputDetails": st.just({"included": False}),
            },
        ),
    },
)
INPUTS: Strategy = RELEASES | MISTAKES | ENDED | EVENTS | NONSENSE
