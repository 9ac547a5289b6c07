"""Questions to the person at the terminal."""

from __future__ import annotations

import sys


def answer(question: str) -> str:
    """Return the answer to a question. Without a terminal, and after Ctrl-C, it is empty."""
    if not sys.stdin.isatty():
        return ""
    try:
        return input(question).strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def confirmed(question: str) -> bool:
    """Return whether the answer to a question is yes."""
    return answer(f"{question} (y/N) ").lower().startswith("y")
