"""Shift the traffic of a stage to another version step by step, show it, and record it in config.tf.

The state machine on AWS does it and goes on without this command: run again, it picks the release up. Ctrl-C asks
whether to abort the release or to leave it running.

Exit status: 0 released, 1 rolled back, 2 refused, 3 lost sight of it while it goes on. 'make' itself ends with 2
whatever the status was: scripts that want to know run this.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import botocore.exceptions
import rich.console
import rich.live
import rich.text

import deploy
import embedded
import pins
import recording
import releases
import stack
import stages
import status
import target
from command import CommandError, LostSightError, RefusedError, main

AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
# A connection may come back.
PATIENCE_SECONDS = 20
# How often lines say how it goes where no terminal shows it.
LINE_SECONDS = 10


def release(here: stack.Stack, given: releases.Settings, *, yes: bool) -> releases.Past:
    """Release, or go on with the release that is under way or was not recorded; return how it ended.

    ``given.version`` is empty for what the stage before it runs, with the routes of that one; where it is not, the
    routes stay.

    Raises:
        RefusedError: nothing was begun.
        LostSightError: it goes on, or it went well but could not be recorded.
        CommandError: it ended, and nothing took its weights back.
    """
    engine = releases.Engine(here)
    try:
        begun = _begin(engine, given, yes=yes)
    except RefusedError:
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    version = f" VERSION={given.version}" if given.version else ""
    again = f"'make release STAGE={given.stage}{version}{here.target.make_variables}'"
    ended = watch(engine, begun, again) if isinstance(begun, releases.Execution) else begun
    if ended.outcome == releases.RELEASED:
        print(f"Released: {ended.reason}", flush=True)
        _record(engine, given.stage, ended, again, named=bool(given.version))
    return ended


def _begin(engine: releases.Engine, given: releases.Settings, *, yes: bool) -> releases.Execution | releases.Past:
    """Start a release, or return the one that is under way, or the one that was not recorded."""
    here, stage = engine.here, given.stage
    check_stage(here, stage)
    if running := engine.running(stage):
        if given.version not in {"", running.settings.version}:
            raise RefusedError(f"{running.name} is under way: {_end_it(here, stage)}")
        print(f"Picking up {running.name}")
        return running
    runs = settled(engine, stage)
    if unrecorded := engine.unrecorded(stage):
        if given.version not in {"", unrecorded.to_version}:
            raise RefusedError(
                f"{unrecorded.name} went well but is not recorded: do so first with "
                f"'make release STAGE={stage}{here.target.make_variables}'"
            )
        print(f"{unrecorded.name} went well, and is recorded now")
        return unrecorded
    version = given.version or _version_before(engine, stage)
    gateway_deployment = _routes(engine, stage, version, named=bool(given.version))
    if not engine.has_version(version):
        raise RefusedError(f"There is no version {version} of {engine.function_name}: 'make history STAGE={stage}'")
    if version == runs:
        raise RefusedError(
            f"{stage} runs version {version} already: nothing to release. Name another in VERSION=, or bring it routes "
            "with 'make promote'"
        )
    given = releases.settings(given.input | {"version": version})
    _announce(engine, runs, engine.complete(given), gateway_deployment)
    if gateway_deployment != stages.active(here)[stage].gateway_deployment:
        _see_that_routes_can_be_brought(here, stage, pins.Pin(version, gateway_deployment))
    if not yes and here.target.endpoint is None and sys.stdin.isatty() and not _answers("Begin? (y/N) ", "y"):
        raise RefusedError("Nothing was begun")
    return engine.start(releases.RELEASE, given)


def check_stage(here: stack.Stack, stage: str) -> None:
    """See that a stage has traffic to be shifted.

    Raises:
        RefusedError: there is no such stage, or it follows the newest.
    """
    if here.target.workspace != "default":
        raise RefusedError(f"Workspace {here.target.workspace} follows the newest in every stage: nothing to release")
    if pins.NEWEST in {(pin := here.config.stage(stage)).function_version, pin.gateway_deployment}:
        raise RefusedError(f"{stage} follows the newest: 'make deploy' is what changes it")
    if stage not in here.outputs["stages"]:
        raise RefusedError(f"{stage} is not deployed yet: run 'make build deploy{here.target.make_variables}' first")


def settled(engine: releases.Engine, stage: str) -> str:
    """Return the version that a stage runs, where no release of it is under way.

    Raises:
        RefusedError: it runs two, by weight.
    """
    runs = engine.alias(stage)
    if runs.weights:
        raise RefusedError(
            f"{stage} is between versions ({runs.version}, and {dict(runs.weights)} beside it), and no release of it "
            f"is under way: if nothing is taking that back just now, do so with '{engine.take_back_line(stage)}'"
        )
    return runs.version


def _end_it(here: stack.Stack, stage: str) -> str:
    return f"wait for it to end, or end it with 'make rollback STAGE={stage}{here.target.make_variables}'"


def _before(here: stack.Stack, stage: str) -> str | None:
    stages = list(here.config.stages)
    place = stages.index(stage)
    return stages[place - 1] if place else None


def _version_before(engine: releases.Engine, stage: str) -> str:
    before = _before(engine.here, stage)
    if before is None:
        raise RefusedError(f"There is no stage before {stage} in config.tf: name a version, as in VERSION=4")
    runs = engine.alias(before)
    if runs.weights:
        raise RefusedError(
            f"{before} is between versions ({runs.version}, and {dict(runs.weights)} beside it): wait for the release "
            "to end, or name a version, as in VERSION=4"
        )
    return runs.version


def _routes(engine: releases.Engine, stage: str, version: str, *, named: bool) -> str:
    """Return the gateway deployment that goes with a version: that of the stage before, where that one runs it."""
    here = engine.here
    before, found = _before(here, stage), stages.active(here)
    if named or before is None or found[before].version != version:
        return found[stage].gateway_deployment
    return recording.gateway_deployment(here, found[before].gateway_deployment)


def _see_that_routes_can_be_brought(here: stack.Stack, stage: str, pin: pins.Pin) -> None:
    """Find what else there is to deploy before traffic is shifted, not after."""
    before = here.config
    recording.planned(here, recording.with_pin(before, stage, pin), only=(stage, pin.gateway_deployment), alias=True)
    before.write(here.target.config_file)


def _announce(engine: releases.Engine, runs: str, given: releases.Settings, gateway_deployment: str) -> None:
    steps, bake, more = given.steps or (), given.bake_seconds or 0, given.extensions or 0
    seconds = len(steps) * bake / embedded.speed(engine.here.target.endpoint)
    after = {
        "hold": "it is held there until there are",
        "promote": "it goes on all the same",
        "rollback": "it is rolled back",
    }[given.when_inconclusive or "rollback"]
    shifts = ", then ".join([*(releases.percents(step) for step in steps), "all"])
    lines = {
        "traffic": f"{shifts}{f'; {duration(bake)} each' if steps else ''}",
        "takes": f"about {duration(seconds)}, up to {duration(seconds * (1 + more))} where there are few calls"
        if steps
        else "a moment",
        "limits": f"{releases.percents(given.max_error_rate or 0)} of its calls may fail, p99 {given.max_p99_ms:g} ms",
        "judged": f"from {given.min_calls} calls on; where {more} times longer brings no more, {after}",
        "alarms": f"ignored: {given.ignore_alarms}" if given.ignore_alarms else "one that fires rolls it back",
    }
    served = stages.active(engine.here)[given.stage].gateway_deployment
    if served != gateway_deployment:
        lines["routes"] = f"{gateway_deployment} instead of {served}, once it is released"
    print(f"Release of {given.stage}: from version {runs} to version {given.version}")
    for name, line in lines.items():
        print(f"  {name:<9}{line}")


def duration(seconds: float) -> str:
    """Return a time as people say it: ``45 s``, ``5 min``, ``1 h 30 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class View:
    """Shows a release as it goes: a line that changes in a terminal, elsewhere one for each step and now and then."""

    engine: releases.Engine
    settings: releases.Settings
    console: rich.console.Console
    live: rich.live.Live | None = None
    weight: float | None = None
    said: float = 0
    seen: float = field(default_factory=time.monotonic)

    def __call__(self, execution: releases.Execution) -> None:
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


def describe(settings: releases.Settings, weight: float, figures: releases.Figures) -> str:
    """Return a line on how far a release is, and how its version does within its limits."""
    steps = settings.steps or ()
    step = next((f"step {i} of {len(steps)}, " for i, share in enumerate(steps, 1) if abs(share - weight) < 1e-6), "")
    return (
        f"{step}{releases.percents(weight)} to version {settings.version}: {figures.calls} calls, {figures.errors} "
        f"failed ({releases.percents(figures.error_rate)}, at most {releases.percents(settings.max_error_rate or 0)}), "
        f"p99 {figures.p99_ms:.0f} ms (at most {settings.max_p99_ms:g} ms)"
    )


def watch(engine: releases.Engine, execution: releases.Execution, again: str) -> releases.Past:
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
            if abort or not _answers(
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


def _answers(question: str, wanted: str) -> bool:
    """Ask in the terminal; where there is none, where it is closed, and for Ctrl-C the answer is no."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(question).strip().lower().startswith(wanted)
    except (EOFError, KeyboardInterrupt):
        return False


def _record(engine: releases.Engine, stage: str, ended: releases.Past, again: str, *, named: bool) -> None:
    """Record a release that went well, with the routes of the stage before where there is nothing against them."""
    here = engine.here
    try:
        stays = stages.active(here)[stage].gateway_deployment
        routes = _routes(engine, stage, ended.to_version, named=named or ended.kind == releases.ROLLBACK)
        try:
            recording.record(here, stage, pins.Pin(ended.to_version, routes))
        except CommandError as error:
            if routes == stays:
                raise
            recording.record(here, stage, pins.Pin(ended.to_version, stays))
            raise LostSightError(
                f"{stage} runs version {ended.to_version}, and config.tf says so, but its routes could not be brought: "
                f"{error}\nThen 'make promote FROM={_before(here, stage)} TO={stage}{here.target.make_variables}' "
                "brings them"
            ) from error
    except LostSightError:
        raise
    except (CommandError, *AWS_ERRORS) as error:
        raise LostSightError(
            f"{stage} runs version {ended.to_version}, but config.tf could not be made to say so: {error}\n"
            f"{again} tries that again"
        ) from error


def _argument(read: Callable[[str], object]) -> Callable[[str], object]:
    """Return an argument's type whose errors say what is wrong."""

    def argument(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, help="whose traffic is shifted")
    parser.add_argument(
        "--version", default="", metavar="NUMBER", help="to which version (the one that the stage before it runs)"
    )
    parser.add_argument(
        "--steps",
        type=_argument(releases.shares),
        metavar="PERCENTS",
        help="how much traffic it gets in turn, such as 10,50",
    )
    parser.add_argument("--bake-seconds", type=int, metavar="SECONDS", help="how long each step lasts")
    parser.add_argument(
        "--max-error-rate", type=_argument(releases.share), metavar="PERCENT", help="how many of its calls may fail"
    )
    parser.add_argument("--max-p99-ms", type=float, metavar="MS", help="how long all but one in 100 calls may take")
    parser.add_argument("--min-calls", type=int, metavar="CALLS", help="how many calls it takes to judge a step")
    parser.add_argument(
        "--extensions", type=int, metavar="TIMES", help="how often a step with fewer calls gets its time again"
    )
    parser.add_argument(
        "--when-inconclusive",
        choices=["rollback", "promote", "hold"],
        help="what to do where that does not help either: roll back, go on all the same, or wait for calls",
    )
    parser.add_argument("--ignore-alarms", metavar="WHY", help="release although alarms of the stage fire")
    parser.add_argument("--yes", action="store_true", help="begin without asking, on AWS")
    return parser.parse_args()


def command() -> int:
    """Return 0 where the stage runs the version, 1 where the old one has all traffic again."""
    options = vars(_options())
    yes = options.pop("yes")
    try:
        here = stack.prepare(target.from_environment())
        deploy.pin(here)
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    ended = release(here, releases.settings(options), yes=yes)
    if ended.outcome == "refused":
        remedy = '\nFor that there is IGNORE_ALARMS="why"' if "ignore_alarms" in ended.reason else ""
        raise RefusedError(f"Refused: {ended.reason}{remedy}\nAll traffic stays where it is, and config.tf as it is")
    if ended.outcome != releases.RELEASED:
        raise CommandError(
            f"{ended.outcome.capitalize()}: {ended.reason}\n"
            f"All traffic goes to version {ended.from_version}, and config.tf is as it was"
        )
    status.show(here)
    return 0


if __name__ == "__main__":
    main(command)
