"""Keep executions over a restart of local AWS, and continue those in progress.

On AWS, nothing interrupts an execution. Here, it continues with its current state: a wait ends when it would have
ended, and a task is started again.
https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import stepfunctions

from emulator.persistence.database import Changes, Row
from emulator.step_functions import executions

Key = tuple[str, str, str]
INTERRUPTED = "Local AWS ended during the execution"


class Executions:
    """All executions: a row for each, with what it needs to continue, and one for each event of its history."""

    name = "executions"

    def __init__(self) -> None:
        self._saved: dict[Key, tuple[str, int]] = {}
        self._interrupted: dict[Key, dict[str, Any] | None] = {}

    def changes(self) -> Changes:
        """Return the executions that have changed."""
        changes = Changes()
        with executions.LOCK:
            found = dict(stepfunctions._executions.all_items())
            for key, record in found.items():
                events = record["events"]
                _, saved = before = self._saved.get(key, ("", 0))
                if before == (record["status"], len(events)):
                    continue
                self._saved[key] = record["status"], len(events)
                owner = json.dumps(key)
                changes.rows[owner, ""] = json.dumps([{**record, "events": []}, _progress(record)])
                for number, event in enumerate(events[saved:], saved):
                    changes.rows[owner, f"{number:06}"] = json.dumps(event)
        for key in self._saved.keys() - found.keys():
            changes.deleted.add(json.dumps(key))
            del self._saved[key]
        return changes

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore all executions."""
        for row in rows:
            account, region, arn = key = tuple(json.loads(row.owner))
            if row.key:
                stepfunctions._executions.get_scoped(*key)["events"].append(json.loads(row.value))
                continue
            record, progress = json.loads(row.value)
            stepfunctions._executions.set_scoped(*key, record)
            if record["status"] == "RUNNING":
                self._interrupted[account, region, arn] = progress
        for key, record in stepfunctions._executions.all_items():
            self._saved[key] = record["status"], len(record["events"])

    def resume(self) -> None:
        """Continue the executions that were in progress; call it when local AWS answers."""
        while self._interrupted:
            (account, region, arn), progress = self._interrupted.popitem()
            record = stepfunctions._executions.get_scoped(account, region, arn)
            # A state that could be read in part only has been deleted.
            if record is None:
                continue
            with request_scope(account, region):
                threading.Thread(
                    target=contextvars.copy_context().run, args=(_resume, record, progress), daemon=True
                ).start()


EXECUTIONS = Executions()


def _progress(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an execution in progress needs to continue, or None if it has not begun or has ended."""
    run = executions.RUNS.get(record["executionArn"])
    if run is None or record["status"] != "RUNNING":
        return None
    return {
        "definition": run.definition,
        "role_arn": run.role_arn,
        "logging": run.logging,
        "position": run.position,
    }


def _resume(record: dict[str, Any], progress: Mapping[str, Any] | None) -> None:
    # Nobody waits any more for a synchronous execution. A map starts its executions again.
    if record.get("sync") or record.get("mapRunArn"):
        executions.end(record, "ABORTED", cause=INTERRUPTED)
    elif progress is None:
        stepfunctions._run_execution(record["executionArn"])
    else:
        executions.work(executions.Run(record, **progress))
