"""Stories: classes whose tests are steps that continue the steps before them.

``pytest.mark.story`` marks a class as a story. A step fails if a step before it failed or was not run,
and reports the reason.
"""

from __future__ import annotations

from typing import Any

import pytest

# Whether each step that was run has passed. A step with parameters passes if all its cases pass.
OUTCOMES = pytest.StashKey[dict[Any, bool]]()


def require_earlier_steps(item: pytest.Item) -> None:
    """Fail a step of a story if the steps before it have not passed."""
    if item.get_closest_marker("story") is None or not isinstance(item, pytest.Function) or item.cls is None:
        return
    outcomes = item.session.stash.setdefault(OUTCOMES, {})
    steps = [step for name, step in vars(item.cls).items() if name.startswith("test")]
    for step in steps[: steps.index(item.function)]:
        if not outcomes.get(step):
            what = "failed" if step in outcomes else "was not run"
            story = item.nodeid.partition("[")[0].rpartition("::")[0]
            pytest.fail(
                f"The earlier step {step.__name__} {what}. Run the whole class: pytest '{story}'", pytrace=False
            )


def record(item: pytest.Item, report: pytest.TestReport) -> None:
    """Record whether a step passed."""
    if isinstance(item, pytest.Function):
        outcomes = item.session.stash.setdefault(OUTCOMES, {})
        if report.when == "call" or report.failed:
            outcomes[item.function] = report.passed and outcomes.get(item.function, True)
