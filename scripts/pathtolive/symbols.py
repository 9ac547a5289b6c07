"""Symbols in the output of commands."""

from __future__ import annotations

import sys


def symbol(text: str, plain: str) -> str:
    """Return a symbol, or its replacement if the output cannot show it."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return plain
    return text
