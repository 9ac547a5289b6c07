"""What a job of GitHub Actions hands to the next steps and jobs, and to the reader of its summary.

Outside of GitHub Actions, nothing is written.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

MAX_CHARACTERS = 60_000


def output(name: str, value: str) -> None:
    """Set an output of the step: one line."""
    _append("GITHUB_OUTPUT", f"{name}={value}\n")


def markdown(title: str, lines: Iterable[object] = (), details: str = "") -> str:
    """Return a title, a list, and folded details as Markdown. The lines are code: a commit's subject is not Markdown.

    Details that GitHub would not show are cut: a comment has at most 65,536 characters.
    https://docs.github.com/en/rest/issues/comments#create-an-issue-comment
    """
    listed = "".join(f"- `{str(line).replace('`', chr(39))}`\n" for line in lines)[:MAX_CHARACTERS]
    left = MAX_CHARACTERS - len(listed)
    shown = details if len(details) <= left else f"{details[:left]}\n..."
    # No line of it can end a fence of so many characters.
    fence = "`" * 12
    folded = (
        f"<details><summary>Terraform's plan</summary>\n\n{fence}\n{shown}\n{fence}\n\n</details>\n" if details else ""
    )
    return f"### {title}\n\n{listed}\n{folded}"


def summarize(title: str, lines: Iterable[object] = (), details: str = "") -> None:
    """Add a title, a list, and folded details to the summary of the step. ci.yml also posts a plan's as a comment."""
    _append("GITHUB_STEP_SUMMARY", markdown(title, lines, details))


def notice(title: str, text: str) -> None:
    """Print a line, which GitHub Actions also shows as a notice of the run."""
    print(text, flush=True)
    if os.environ.get("GITHUB_ACTIONS"):
        print(f"::notice title={title}::{text}", flush=True)


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
