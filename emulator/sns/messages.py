"""Refuse messages that AWS refuses: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack.services import sns

from emulator import hooks

# The page says "less than 100", but AWS takes 100: https://github.com/getmoto/moto/issues/1503
_MAX_SUBJECT = 100


def install() -> None:
    """Put this in front of MiniStack's own Publish."""
    hooks.wrap(sns, "_publish", ["params"], _publish)


def _publish(original: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    if not sns._p(params, "Message"):
        return sns._error("InvalidParameter", "Invalid parameter: Empty message", 400)
    # MiniStack does not tell an empty subject, which AWS refuses, from none.
    if (subject := sns._p(params, "Subject")) and not _is_subject(subject):
        return sns._error("InvalidParameter", "Invalid parameter: Subject", 400)
    return original(params)


def _is_subject(text: str) -> bool:
    return len(text) <= _MAX_SUBJECT and text.isascii() and text.isprintable() and not text.startswith(" ")
