"""Skip the rest of a step of a release in progress, hold it, resume it, or abort it."""

from __future__ import annotations

from pathtolive import stack
from pathtolive.cli import RefusedError
from pathtolive.release.control import ABORT, HOLD, RESUME, SKIP
from pathtolive.release.engine import Engine
from pathtolive.release.executions import ROLLBACK
from pathtolive.release.weights import abort

ACTIONS = (SKIP, HOLD, RESUME, ABORT)


def steer(here: stack.Stack, stage: str, what: str, reason: str) -> None:
    """Do what someone asks of the release in progress.

    Raises:
        RefusedError: no release is in progress.
        CommandError: it succeeded before it was aborted, or its rollback did not complete.
        LostSightError: its rollback continues without this command.
    """
    engine = Engine(here, stage)
    running = engine.machine.running()
    if running is None or running.kind == ROLLBACK:
        raise RefusedError(f"No release of {stage} is in progress, so there is nothing to {what}.")
    if what == ABORT:
        version = abort(engine, running, engine.rollback, reason)
        print(f"All traffic of {stage} goes to version {version}", flush=True)
    else:
        print(engine.ask(running, what, reason))
