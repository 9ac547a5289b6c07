"""The states of MiniStack's services, without the data that there is too much of to read it after each request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import ministack.app
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudwatch, cloudwatch_logs, stepfunctions

from emulator.persistence.database import Changes, Row

# A thread can change a service in the meantime.
ATTEMPTS = 10


def _cloudwatch() -> dict[str, Any]:
    return {
        "alarms": cloudwatch._alarms,
        "composite_alarms": cloudwatch._composite_alarms,
        "composite_triggers": cloudwatch._composite_triggers,
        "dashboards": cloudwatch._dashboards,
        "resource_tags": cloudwatch._resource_tags,
    }


def _cloudwatch_logs() -> dict[str, Any]:
    groups = AccountRegionScopedDict()
    for (account, region, name), group in cloudwatch_logs._log_groups.all_items():
        groups.set_scoped(account, region, name, group | {"streams": {}})
    return {
        "log_groups": groups,
        "destinations": cloudwatch_logs._destinations,
        "resource_policies": cloudwatch_logs._resource_policies,
        "log_group_policies": cloudwatch_logs._log_group_policies,
        "metric_filters": cloudwatch_logs._metric_filters,
        "queries": cloudwatch_logs._queries,
        "delivery_sources": cloudwatch_logs._delivery_sources,
        "delivery_destinations": cloudwatch_logs._delivery_destinations,
        "deliveries": cloudwatch_logs._deliveries,
    }


def _stepfunctions() -> dict[str, Any]:
    return {
        "state_machines": stepfunctions._state_machines,
        "tags": stepfunctions._tags,
        "activities": stepfunctions._activities,
        "state_machine_versions": stepfunctions._state_machine_versions,
        "state_machine_aliases": stepfunctions._state_machine_aliases,
        "map_runs": stepfunctions._map_runs,
    }


# Other parts keep metrics, the history of alarms, log events, and executions.
WITHOUT_DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "cloudwatch": _cloudwatch,
    "cloudwatch_logs": _cloudwatch_logs,
    "stepfunctions": _stepfunctions,
}


class Services:
    """The state of each service, in MiniStack's own form."""

    name = "services"

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def changes(self) -> Changes:
        """Return the states of the services that have changed."""
        changes = Changes()
        for name, state in ministack.app._build_persistence_save_dict().items():
            text = _text(WITHOUT_DATA.get(name, state))
            if text is not None and text != self._known.get(name):
                changes.rows[name, ""] = self._known[name] = text
        return changes

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore each service."""
        for row in rows:
            state = json.loads(row.value, object_hook=persistence._json_object_hook)
            ministack.app._get_module(ministack.app._state_map[row.owner]).load_persisted_state(state)
            self._known[row.owner] = row.value


def _text(state: Callable[[], Any]) -> str | None:
    for attempt in range(ATTEMPTS):
        try:
            found = state()
            return None if found is None else json.dumps(found, default=persistence._json_default)
        except RuntimeError:
            if attempt + 1 == ATTEMPTS:
                raise
    return None
