"""Replace a function of MiniStack, or refuse if it differs from the one that this package was written for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

MINISTACK_VERSION = "1.5.33"
REMEDY = f"Install it with: pip install ministack=={MINISTACK_VERSION}"


class HookError(RuntimeError):
    """MiniStack is not the version that local AWS was written for."""


def wrap(module: ModuleType, name: str, parameters: list[str], wrapper: Callable[..., Any]) -> None:
    """Replace ``module.name``; ``wrapper`` is called with the original first, then its arguments.

    ``parameters`` are the names that the original takes, in order.

    Raises:
        HookError: there is no such function, or it takes other parameters.
    """
    original = getattr(module, name, None)
    found = list(inspect.signature(original).parameters) if callable(original) else None
    if original is None or found != parameters:
        raise HookError(
            f"{module.__name__}.{name} takes {found}, not {parameters}: "
            f"this is not MiniStack {MINISTACK_VERSION}. {REMEDY}"
        )

    async def asynchronous(*args: Any, **kwargs: Any) -> Any:
        return await wrapper(original, *args, **kwargs)

    def synchronous(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    replacement: Any = asynchronous if inspect.iscoroutinefunction(original) else synchronous
    # A module that has imported the name already keeps the original: hooks go in before MiniStack serves.
    replacement.__signature__ = inspect.signature(original)
    setattr(module, name, replacement)
