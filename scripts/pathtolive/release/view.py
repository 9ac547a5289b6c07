"""Show a release while it is in progress."""

from __future__ import annotations

import datetime
import sys
import time
from dataclasses import dataclass, field

import botocore.exceptions
import rich.console
import rich.live
import rich.text

from pathtolive.cli import LostSightError
from pathtolive.release.engine import Engine
from pathtolive.release.executions import Execution, Figures, Past
from pathtolive.release.settings import Settings, percents

# A connection may come back.
PATIENCE_SECONDS = 20
# How often lines say how it goes where no terminal shows it.
LINE_SECONDS = 10


def duration(seconds: float) -> str:
    """Return a time as people say it: ``45 s``, ``5 min``, ``1 h 30 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class View:
    """Shows a release as it goes: a line that changes in a terminal, elsewhere one for each step and now and then."""

    engine: Engine
    settings: Settings
    console: rich.console.Console
    live: rich.live.Live | None = None
    weight: float | None = None
    said: float = 0
    seen: float = field(default_factory=time.monotonic)

    def __call__(self, execution: Execution) -> None:
        """Show how far it is."""
        weight = self.engine.alias(self.settings.stage).weights.get(self.settings.version, 0.0)
        figures = self.engine.figures(self.settings.stage, self.settings.version, execution.started)
        self.seen = time.monotonic()
        took = duration((datetime.datetime.now(datetime.UTC) - execution.started).total_seconds())
        line = f"{describe(self.settings, weight, figures)}, {took}"
        if self.live:
            self.live.update(rich.text.Text(line), refresh=True)
        elif weight != self.weight or self.seen - self.said >= LINE_SECONDS:
            print(line, flush=True)
            self.weight, self.said = weight, self.seen

    def __enter__(self) -> View:
        """Take the terminal, where there is one."""
        if self.console.is_terminal:
            self.live = rich.live.Live(console=self.console, auto_refresh=False)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back, with the last line on it."""
        if self.live:
            self.live.stop()
            self.live = None


def describe(settings: Settings, weight: float, figures: Figures) -> str:
    """Return a line on how far a release is, and how its version does within its limits."""
    steps = settings.steps or ()
    step = next((f"step {i} of {len(steps)}, " for i, share in enumerate(steps, 1) if abs(share - weight) < 1e-6), "")
    return (
        f"{step}{percents(weight)} to version {settings.version}: {figures.calls} calls, {figures.errors} "
        f"failed ({percents(figures.error_rate)}, at most {percents(settings.max_error_rate or 0)}), "
        f"p99 {figures.p99_ms:.0f} ms (at most {settings.max_p99_ms:g} ms)"
    )


def watch(engine: Engine, execution: Execution, again: str) -> Past:
    """Show a release until it has ended; Ctrl-C asks whether to abort it.

    Raises:
        LostSightError: AWS does not answer any more, or it was to be left running; ``again`` picks it up.
        CommandError: it ended by force, and nothing took its weights back.
    """
    print(f"{execution.name} is under way", flush=True)
    goes_on = f"{execution.name} goes on without this command: {again} picks it up"
    view = View(engine, execution.settings, rich.console.Console(soft_wrap=True))
    abort = aborted = pause = False
    while True:
        try:
            if pause:
                time.sleep(engine.poll_seconds)
            view.settings = engine.complete(execution.settings)
            if abort and not aborted:
                engine.abort(execution)
                aborted = True
            with view:
                return engine.wait(execution, view)
        except KeyboardInterrupt as error:
            if abort or not confirmed(
                "\nAbort it, so that all traffic goes back (a), or leave it running (Enter)? ", "a"
            ):
                raise LostSightError(goes_on) from error
            abort = True
        except botocore.exceptions.ClientError as error:
            raise LostSightError(f"AWS refuses to say more: {error}\n{goes_on}") from error
        except botocore.exceptions.BotoCoreError as error:
            if time.monotonic() - view.seen > PATIENCE_SECONDS:
                raise LostSightError(f"{error}\n{goes_on}") from error
            pause = True


def confirmed(question: str, wanted: str) -> bool:
    """Ask in the terminal; where there is none, where it is closed, and for Ctrl-C the answer is no."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(question).strip().lower().startswith(wanted)
    except (EOFError, KeyboardInterrupt):
        return False
