"""Show a release while it is in progress."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field

import botocore.exceptions
import rich.console
import rich.live
import rich.text

from pathtolive import local_aws, stack
from pathtolive.cli import AWS_ERRORS, CommandError, LostSightError
from pathtolive.questions import answer
from pathtolive.release.control import ABORT, HOLD, RESUME, SKIP
from pathtolive.release.engine import Engine
from pathtolive.release.executions import Execution, Past, continues
from pathtolive.release.metrics import Metrics
from pathtolive.release.settings import Settings, percents

# Seconds without a connection, after which the command stops.
PATIENCE_SECONDS = 20
# Lambda sends metrics once a minute, and they arrive with a delay. After three minutes, there was no traffic.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics.html
QUIET_SECONDS = 180
# Without a terminal, a line is printed at each new weight, and after this time.
LINE_SECONDS = 10
QUESTION = (
    "\nSkip the rest of this step (s), hold (h), resume (r), abort and roll back (a), or leave it running (Enter)? "
)
ANSWERS = {"s": SKIP, "h": HOLD, "r": RESUME, "a": ABORT}


def duration(seconds: float) -> str:
    """Return a time as text: ``45 s``, ``5 min``, ``1 h 30 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class View:
    """Prints the progress of a release: in a terminal, one line that changes; without one, a line now and then."""

    engine: Engine
    settings: Settings
    console: rich.console.Console
    live: rich.live.Live | None = None
    weight: float | None = None
    printed: float = 0
    hinted: bool = False
    waits: bool = False
    read: float = field(default_factory=time.monotonic)

    def __call__(self, execution: Execution) -> None:
        """Print the weight of the new version, and the metrics of both versions."""
        alias = self.engine.aliases.read(self.engine.stage)
        weight = alias.weights.get(self.settings.version, 0.0)
        metrics = self.engine.metrics(self.settings, self.settings.version, execution.started)
        baseline = self.engine.metrics(self.settings, alias.version, execution.started)
        self.read = time.monotonic()
        seconds = (datetime.datetime.now(datetime.UTC) - execution.started).total_seconds()
        quiet = seconds * local_aws.speed(self.engine.here.target.endpoint) >= QUIET_SECONDS
        if weight and not metrics.invocations and quiet and not self.hinted:
            self.console.print(
                f"{self.settings.stage} has no traffic. {send_traffic(self.engine.here, self.settings.stage)}"
            )
            self.hinted = True
        line = f"{describe(self.settings, weight, metrics, alias.version, baseline)}, {duration(seconds)}"
        if self.engine.control.held(execution):
            line = f"On hold: {line}"
        elif self.settings.hold and not weight:
            line = f"Waiting for approval, {duration(seconds)}"
            if not self.waits:
                self.console.print(approve(self.engine.here, self.settings.stage))
                self.waits = True
        if self.live:
            self.live.update(rich.text.Text(line), refresh=True)
        elif weight != self.weight or self.read - self.printed >= LINE_SECONDS:
            print(line, flush=True)
            self.weight, self.printed = weight, self.read

    def __enter__(self) -> View:
        """Start the line that changes, if there is a terminal."""
        if self.console.is_terminal:
            self.live = rich.live.Live(console=self.console, auto_refresh=False)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last line on the terminal."""
        if self.live:
            self.live.stop()
            self.live = None


def send_traffic(here: stack.Stack, stage: str) -> str:
    """Return a sentence with the command that sends traffic for a release to analyze."""
    return f"In a second terminal, send requests with: make load STAGE={stage}{here.target.make_variables}"


def approve(here: stack.Stack, stage: str) -> str:
    """Return a sentence with the command that approves a release."""
    command = f"make release STAGE={stage} DO=resume REASON=...{here.target.make_variables}"
    return f"After the smoke test, no traffic shifts until someone approves it with: {command}"


def describe(settings: Settings, weight: float, metrics: Metrics, active: str, baseline: Metrics) -> str:
    """Return a line with the step of a release, and the metrics of both versions."""
    steps = settings.steps or ()
    step = next((f"step {i} of {len(steps)}, " for i, share in enumerate(steps, 1) if abs(share - weight) < 1e-6), "")
    return (
        f"{'bake, ' if weight == 1 else step}{percents(weight)} to version {settings.version}: "
        f"{counts(metrics, settings.version)}; {counts(baseline, active)}"
        f"{f'; {metrics.slow:,} took longer than {settings.max_p99_ms:g} ms' if metrics.slow else ''}"
    )


def counts(metrics: Metrics, version: str) -> str:
    """Return how many invocations of a version failed, as a clause."""
    return f"{metrics.errors:,} of {metrics.invocations:,} invocations of version {version} failed"


def watch(engine: Engine, execution: Execution, again: str) -> Past:
    """Print the progress of a release, and return its outcome; Ctrl-C asks what to do with it.

    Raises:
        LostSightError: the release continues without this command. The command line ``again`` follows it again.
        CommandError: it ended, but its rollback did not complete, or it ended with local AWS.
    """
    print(f"{execution.name} is in progress", flush=True)
    unwatched = continues(execution.name, again)
    view = View(engine, execution.settings, rich.console.Console(soft_wrap=True, highlight=False))
    abort = aborted = pause = False
    while True:
        try:
            if pause:
                time.sleep(engine.poll_seconds)
            view.settings = engine.machine.complete(execution.settings)
            if abort and not aborted:
                engine.machine.abort(execution)
                aborted = True
            with view:
                return engine.wait(execution, view)
        except KeyboardInterrupt as error:
            wanted = None if abort else _wanted(engine, execution)
            if wanted is None:
                raise LostSightError(unwatched) from error
            abort = wanted == ABORT
        except local_aws.EndedError as error:
            if not error.kept:
                raise CommandError(f"{error}\n{execution.name} ended with it.") from error
            raise LostSightError(
                f"{error}\n{execution.name} then continues. To follow it again, run: {again}"
            ) from error
        except botocore.exceptions.ClientError as error:
            raise LostSightError(f"AWS request failed: {error}\n{unwatched}") from error
        except botocore.exceptions.BotoCoreError as error:
            if time.monotonic() - view.read > PATIENCE_SECONDS:
                if endpoint := engine.here.target.endpoint:
                    unwatched = f"If {endpoint} is still running, {unwatched}"
                raise LostSightError(f"AWS request failed: {error}\n{unwatched}") from error
            pause = True


def _wanted(engine: Engine, execution: Execution) -> str | None:
    """Ask what to do with a release, and ask the release for it unless it is to be aborted; None leaves it running."""
    wanted = ANSWERS.get(answer(QUESTION).lower())
    if wanted and wanted != ABORT:
        reason = answer("Reason (required): ")
        if not reason:
            print("Nothing was requested, because you gave no reason.", flush=True)
            return None
        try:
            print(engine.ask(execution, wanted, reason), flush=True)
        except (CommandError, *AWS_ERRORS) as error:
            print(f"The request to {execution.name} failed: {error}", flush=True)
    return wanted


def follow(engine: Engine, execution: Execution, again: str) -> Past:
    """Return the outcome of a promotion or rollback, which takes seconds and shows no progress.

    Raises:
        LostSightError: it continues without this command. The command line ``again`` follows it again.
        CommandError: it ended without a report.
    """
    try:
        return engine.wait(execution)
    except KeyboardInterrupt as error:
        raise LostSightError(f"Interrupted. {continues(execution.name, again)}") from error
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise LostSightError(f"AWS request failed: {error}\n{continues(execution.name, again)}") from error
