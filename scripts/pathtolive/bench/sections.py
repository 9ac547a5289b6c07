"""The sections of make bench."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathtolive import target
from pathtolive.bench import commands, emulators, handlers, runtime

Row = Mapping[str, str]


@dataclass
class Report:
    """The tables of a section and a sentence below them, its figures, and a sentence for each missed budget."""

    tables: Sequence[Sequence[Row]]
    figures: Mapping[str, Any]
    note: str = ""
    missed: Sequence[str] = field(default_factory=list)


def _handlers(options: Any) -> Report:
    """Measure import and invocations."""
    with _unpacked() as (directories, size):
        medians = handlers.measure(directories, options.processes, options.invocations)
    return Report(
        [handlers.rows(medians)],
        {"medians": medians, "bytes": size},
        handlers.summary(medians, size),
        handlers.missed(medians, size),
    )


def _runtime(options: Any) -> Report:
    """Measure the first call and warm invocations."""
    with _unpacked() as (directories, _):
        medians = runtime.measure(directories, options.processes, options.invocations // 10 or 1)
    return Report([runtime.rows(medians)], {"medians": medians}, missed=runtime.missed(medians))


def _emulators(options: Any) -> Report:
    """Measure local AWS and MiniStack."""
    found = emulators.measure(options.memory_invocations)
    return Report(
        [emulators.rows(found)], found, f"The memory is compared over {options.memory_invocations} invocations."
    )


def _commands(_: Any) -> Report:
    """Measure deploy, promote, and rollback."""
    target.ignore_aws_settings()
    runs = commands.measure()
    return Report(
        [commands.rows(runs), commands.step_rows(runs)],
        {"commands": commands.as_json(runs)},
        f"The requests, and their p99, are those of the stage meanwhile. Terraform's logs: {commands.LOGS}",
        commands.missed(runs),
    )


@contextlib.contextmanager
def _unpacked() -> Iterator[tuple[dict[str, Path], int]]:
    """Yield the directories of the bare handler, the artifact, and Powertools' handler, and the artifact's size."""
    with tempfile.TemporaryDirectory() as temporary:
        directories = {name: Path(temporary) / name for name in ("bare", "ours", "powertools")}
        for name, code in (("bare", handlers.BARE), ("powertools", handlers.POWERTOOLS)):
            directories[name].mkdir()
            (directories[name] / "handler.py").write_text(code)
        yield directories, handlers.unpack(Path(temporary) / "lambda.zip", directories["ours"])


SECTIONS: dict[str, Callable[[Any], Report]] = {
    "handlers": _handlers,
    "runtime": _runtime,
    "emulators": _emulators,
    "commands": _commands,
}


def sections(text: str) -> list[str]:
    """Return sections in the order in which they are measured.

    Raises:
        ValueError: one does not exist.
    """
    named = text.split(",")
    if unknown := [name for name in named if name not in SECTIONS]:
        raise ValueError(f"{unknown[0]!r} is not a section: name some of {','.join(SECTIONS)}")
    return [name for name in SECTIONS if name in named]
