"""Shift the traffic of a stage to another version step by step, show it, and record it in config.tf.

The state machine on AWS does it and goes on without this command: run again, it picks the release up. Ctrl-C asks
whether to abort the release or to leave it running.

Exit status: 0 released, 1 rolled back, 2 refused, 3 lost sight of it while it goes on. 'make' itself ends with 2
whatever the status was: scripts that want to know run this.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pathtolive import deployment, stack, status, target
from pathtolive.cli import CommandError, RefusedError, main
from pathtolive.release.begin import AWS_ERRORS, release
from pathtolive.release.executions import RELEASED
from pathtolive.release.settings import read_settings, share, shares


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
        type=_argument(shares),
        metavar="PERCENTS",
        help="how much traffic it gets in turn, such as 10,50",
    )
    parser.add_argument("--bake-seconds", type=int, metavar="SECONDS", help="how long each step lasts")
    parser.add_argument(
        "--max-error-rate", type=_argument(share), metavar="PERCENT", help="how many of its calls may fail"
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
        deployment.pin(here)
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    ended = release(here, read_settings(options), yes=yes)
    if ended.outcome == "refused":
        remedy = '\nFor that there is IGNORE_ALARMS="why"' if "ignore_alarms" in ended.reason else ""
        raise RefusedError(f"Refused: {ended.reason}{remedy}\nAll traffic stays where it is, and config.tf as it is")
    if ended.outcome != RELEASED:
        raise CommandError(
            f"{ended.outcome.capitalize()}: {ended.reason}\n"
            f"All traffic goes to version {ended.from_version}, and config.tf is as it was"
        )
    status.show(here, urls=False)
    return 0


if __name__ == "__main__":
    main(command)
