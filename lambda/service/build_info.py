"""The build info in the artifact, read once."""

from __future__ import annotations

import json
import os.path


def read(path: str) -> dict[str, object] | None:
    """Return the file's ``type, short, long, time, modified``, or None if it does not exist."""
    try:
        with open(path, encoding="utf-8") as file:
            content: dict[str, object] = json.load(file)
    except FileNotFoundError:
        return None
    return content


BUILD_INFO = read(os.path.join(os.path.dirname(__file__), "build_info.json"))
