"""Change the states of alarms, and keep their history.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from ministack.services import cloudwatch

from emulator import hooks
from emulator.cloudwatch import actions
from emulator.cloudwatch.protocol import iso

Alarm = dict[str, Any]


def install() -> None:
    """Put this in the place of MiniStack's own changes."""
    hooks.wrap(
        cloudwatch, "_transition_composite", ["alarm", "new_state", "reason", "triggers", "seen"], _change_composite
    )


def change(alarm: Alarm, value: str, reason: str, reason_data: str | None, seen: Iterable[str] = ()) -> None:
    """Set the state of an alarm; if that is another one, take its actions and look at the alarms above it.

    ``seen`` are the alarms whose change led here, which are not looked at again.
    """
    previous, now = actions.State.of(alarm), time.time()
    alarm |= {"StateValue": value, "StateReason": reason, "StateUpdatedTimestamp": now}
    alarm.pop("StateReasonData", None)
    if reason_data is not None:
        alarm["StateReasonData"] = reason_data
    if value == previous.value:
        return
    alarm["StateTransitionedTimestamp"] = now
    states = {"oldState": _recorded(previous), "newState": _recorded(actions.State.of(alarm))}
    record(alarm, "StateUpdate", f"Alarm updated from {previous.value} to {value}", {"version": "1.0", **states})
    actions.send_event(alarm, previous)
    for action, error in actions.take(alarm, previous):
        summary = f"Successfully executed action {action}"
        data = {"actionState": "Succeeded", "stateUpdateTimestamp": int(now * 1000), "notificationResource": action}
        if error is not None:
            summary = f'Failed to execute action {action}. Received error: "{error}"'
            data |= {"actionState": "Failed", "error": error}
        record(alarm, "Action", summary, data)
    cloudwatch._evaluate_parent_alarms(alarm, frozenset(seen))


def record(alarm: Alarm, kind: str, summary: str, data: dict[str, Any]) -> None:
    """Add to the history of an alarm."""
    now = time.time()
    cloudwatch._history_entries().append(
        {
            "AlarmName": alarm["AlarmName"],
            "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
            # MiniStack reads whole seconds here.
            "Timestamp": cloudwatch._ts_iso(now),
            "Moment": now,
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data),
        }
    )


def _recorded(state: actions.State) -> dict[str, Any]:
    found: dict[str, Any] = {"stateValue": state.value, "stateReason": state.reason}
    return found | ({} if state.reason_data is None else {"stateReasonData": json.loads(state.reason_data)})


def _change_composite(
    _original: Callable[..., Any],
    alarm: Alarm,
    new_state: str,
    reason: str,
    triggers: Iterable[str],
    seen: frozenset[str] = frozenset(),
) -> None:
    """Change a composite alarm, and name the children that did that."""
    children = [cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name) for name in triggers]
    triggering = [
        {
            "arn": child["AlarmArn"],
            "state": {"value": child["StateValue"], "timestamp": iso(float(child["StateUpdatedTimestamp"]))},
        }
        for child in children
        if child
    ]
    cloudwatch._composite_triggers.pop(alarm["AlarmName"], None)
    change(alarm, new_state, reason, json.dumps({"triggeringAlarms": triggering}, separators=(",", ":")), seen)
