"""The behaviours of embedded AWS, in the order in which they are put in front of MiniStack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.asgi import App


def install(app: App) -> App:
    """Put every behaviour in its place and return the application that answers."""
    return app
