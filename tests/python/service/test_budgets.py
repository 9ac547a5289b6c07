"""The budgets of the service that do not depend on how fast the machine is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pathtolive.bench import handlers
from tests.conftest import ROOT


@pytest.mark.clock
def test_service_is_within_its_budgets() -> None:
    """make bench also compares the times, which are those of one machine."""
    done = subprocess.run(
        [sys.executable, "scripts/bench.py", "--sections", "handlers", "--processes", "5", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["handlers"]
    assert set(found["medians"]) == {"bare", "ours", "powertools"}
    faster, share = handlers.ratios(found["medians"])
    assert faster >= handlers.MIN_IMPORT_RATIO
    assert share <= handlers.MAX_WARM_RATIO
    assert found["bytes"] <= handlers.MAX_BYTES
