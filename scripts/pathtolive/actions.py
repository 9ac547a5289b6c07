"""What a job of GitHub Actions hands to the next steps and jobs, and to the reader of its summary.

Outside of GitHub Actions, nothing is written.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def output(name: str, value: str) -> None:
    """Set an output of the step: one line."""
    _append("GITHUB_OUTPUT", f"{name}={value}\n")


def markdown(title: str, lines: Iterable[object] = ()) -> str:
    """Return a title and a list as Markdown. Lines of code: a commit's subject is not Markdown."""
    listed = "".join(f"- `{str(line).replace('`', chr(39))}`\n" for line in lines)
    return f"### {title}\n\n{listed}\n"


def summarize(title: str, lines: Iterable[object] = ()) -> None:
    """Add a title and a list to the summary of the job."""
    _append("GITHUB_STEP_SUMMARY", markdown(title, lines))


def notice(title: str, text: str) -> None:
    """Print a line, which GitHub Actions also shows as a notice of the run."""
    print(text, flush=True)
    if os.environ.get("GITHUB_ACTIONS"):
        print(f"::notice title={title}::{text}", flush=True)


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
