"""Write files in one step. Standard library only: the build uses it before anything is installed."""

from __future__ import annotations

import os
from pathlib import Path

PARTIAL = ".partial"


def write(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace a file, unless it has this content: an interruption leaves the old file or the new one."""
    remove_partial(path)
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            # Otherwise, a power failure can leave an empty file.
            # https://docs.kernel.org/admin-guide/ext4.html (auto_da_alloc)
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - like the calls above
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_partial(path: Path) -> None:
    """Remove what commands that were killed have left of a file."""
    for partial in path.parent.glob(f".{path.name}.*{PARTIAL}"):
        writer = partial.name.removesuffix(PARTIAL).rpartition(".")[2]
        if writer.isdigit() and not _exists(int(writer)):
            partial.unlink(missing_ok=True)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
