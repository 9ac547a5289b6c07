"""Remove the weights of a release that is in progress, or that ended without a rollback."""

from __future__ import annotations

from pathtolive.cli import CommandError, LostSightError, RefusedError
from pathtolive.release import view
from pathtolive.release.aliases import traffic
from pathtolive.release.engine import Engine
from pathtolive.release.executions import ROLLBACK, SUCCEEDED, Execution, Past, brief, continues
from pathtolive.release.settings import Settings


def abort(engine: Engine, running: Execution, again: str, reason: str = "") -> str:
    """Abort a release, wait for its rollback, and return the version that then has all traffic.

    Raises:
        LostSightError: the rollback continues without this command.
        CommandError: the release succeeded before, or its rollback did not complete.
    """
    engine.machine.abort(running, reason)
    print(f"Aborted {running.name}. Waiting for its rollback ...", flush=True)
    try:
        ended = engine.wait(running)
    except KeyboardInterrupt as error:
        raise LostSightError(f"Interrupted. {continues(f'The rollback of {running.name}', again)}") from error
    _refuse_success(ended, running.name, again)
    return engine.aliases.read(engine.stage).version


def remove_weights(engine: Engine, again: str) -> str | None:
    """Remove weights that an execution left when it ended, and return the version that then has all traffic.

    Usually, an event starts the rollback that removes them, but EventBridge can lose an event of Step Functions.
    https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-states.html

    If there are no weights, return None.

    Raises:
        RefusedError: no release has set them.
        LostSightError: the rollback continues without this command.
        CommandError: the rollback did not succeed.
    """
    stage, alias = engine.stage, engine.aliases.read(engine.stage)
    if not alias.weights:
        return None
    rollback = engine.machine.running_rollback()
    if rollback is None:
        setter = alias.setter
        if setter is None:
            raise RefusedError(engine.weights_error(alias))
        print(f"{setter} ended without a rollback: {traffic(alias.weights)}. Starting its rollback ...", flush=True)
        rollback = engine.machine.start(ROLLBACK, Settings(stage, alias.version), again, rolls_back=setter)
    else:
        print(f"The rollback of {rollback.rolls_back} is in progress. Waiting for it ...", flush=True)
    ended = view.follow(engine, rollback, again)
    _refuse_success(ended, rollback.rolls_back, again)
    alias = engine.aliases.read(stage)
    # If two rollbacks run, one of them finds no weights, and reports that it was refused.
    if alias.weights:
        raise failed(engine, ended)
    return alias.version


def _refuse_success(ended: Past, release: str | None, again: str) -> None:
    if ended.outcome == SUCCEEDED:
        raise CommandError(f"{release} succeeded before it was aborted. To roll back, run: {again}")


def failed(engine: Engine, ended: Past) -> CommandError:
    """Return the error of a rollback that did not succeed."""
    return CommandError(
        f"The rollback of {engine.stage} did not succeed ({ended.outcome}): {brief(ended.reason)}\n"
        f"Show the version of each stage with: make status{engine.here.target.make_variables}"
    )
