"""Keep the history of alarms over a restart."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ministack.services import cloudwatch

from emulator.persistence.database import Changes, Row


class History:
    """The history of all alarms, by account and region. Nothing in it changes."""

    name = "alarm history"

    def __init__(self) -> None:
        self._saved: dict[str, int] = {}

    def changes(self) -> Changes:
        """Return the new entries."""
        changes, found = Changes(), {}
        for (account, region, _), entries in cloudwatch._alarm_history.all_items():
            owner = json.dumps([account, region])
            found[owner] = len(entries)
            saved = self._saved.get(owner, 0)
            if saved > len(entries):
                changes.deleted.add(owner)
                saved = 0
            for number, entry in enumerate(entries[saved:], saved):
                changes.rows[owner, f"{number:09}"] = json.dumps(entry)
        changes.deleted |= self._saved.keys() - found.keys()
        self._saved = found
        return changes

    def restore(self, rows: Iterable[Row]) -> None:
        """Restore the entries, in their order."""
        for row in rows:
            account, region = json.loads(row.owner)
            entries = cloudwatch._alarm_history.get_scoped(account, region, "entries", [])
            entries.append(json.loads(row.value))
            cloudwatch._alarm_history.set_scoped(account, region, "entries", entries)
            self._saved[row.owner] = len(entries)
