"""Skip the rest of a step of a release in progress, hold it, resume it, or abort it."""

from __future__ import annotations

from pathtolive import local_aws, stack
from pathtolive.cli import CommandError, LostSightError, RefusedError
from pathtolive.release.control import ABORT, HOLD, RESUME, SKIP, Control
from pathtolive.release.engine import Engine
from pathtolive.release.executions import SUCCEEDED, Execution

ACTIONS = (SKIP, HOLD, RESUME, ABORT)
_DOES = {
    SKIP: "continues with the next step",
    HOLD: "keeps its weight until it is resumed",
    RESUME: "continues",
}


def steer(here: stack.Stack, stage: str, what: str, reason: str) -> None:
    """Do what someone asks of the release in progress.

    Raises:
        RefusedError: no release is in progress, or it cannot be asked.
        CommandError: it succeeded before it was aborted, or its rollback did not complete.
        LostSightError: its rollback continues without this command.
    """
    engine = Engine(here, stage)
    running = engine.machine.running()
    if running is None:
        raise RefusedError(f"No release of {stage} is in progress, so there is nothing to {what}.")
    if what == ABORT:
        print(f"All traffic of {stage} goes to version {abort(engine, running, reason)}", flush=True)
    else:
        print(ask(engine, running, what, reason))


def ask(engine: Engine, running: Execution, what: str, reason: str) -> str:
    """Ask a release to skip the rest of its step, to hold, or to resume, and return a sentence about it."""
    Control(engine.here, engine.stage).ask(running, what, reason)
    seconds = engine.machine.look_seconds / local_aws.speed(engine.here.target.endpoint)
    return f"{running.name} {_DOES[what]}. It reads this request within {seconds:.0f} s."


def abort(engine: Engine, running: Execution, reason: str = "") -> str:
    """Abort a release, wait for its rollback, and return the version that then has all traffic.

    Raises:
        CommandError: it succeeded before it was aborted, or its rollback did not complete.
        LostSightError: its rollback continues without this command.
    """
    stage = engine.stage
    engine.machine.abort(running, reason)
    print(f"Aborted {running.name}. Waiting for its rollback ...", flush=True)
    try:
        ended = engine.wait(running)
    except KeyboardInterrupt as error:
        raise LostSightError(
            f"Interrupted. The rollback of {running.name} continues without this command. To see when all traffic of "
            f"{stage} goes to one version, run: make status{engine.here.target.make_variables}"
        ) from error
    if ended.outcome == SUCCEEDED:
        raise CommandError(
            f"{running.name} succeeded before it was aborted. To roll back, run: "
            f"make rollback STAGE={stage}{engine.here.target.make_variables}"
        )
    return engine.aliases.read(stage).version
