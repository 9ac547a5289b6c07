"""Give every log event an ID: MiniStack gives none to the events of functions.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilteredLogEvent.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ministack.services import cloudwatch_logs

from emulator import hooks


def install() -> None:
    """Wrap MiniStack's function that stores log events."""
    hooks.wrap(cloudwatch_logs, "_append_log_events", ["stream", "events"], _append)


def _append(original: Callable[..., Any], stream: Any, events: Iterable[Mapping[str, Any]]) -> None:
    original(stream, [{"eventId": uuid.uuid4().hex, **event} for event in events])
