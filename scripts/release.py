"""Shift the traffic of a stage to another version in steps, print the progress, and record the version in config.tf.

A state machine on AWS runs the release, which continues even if this command ends. To follow it again, run the same
command. Ctrl-C asks whether to skip the rest of the step, hold, resume, or abort the release, or to leave it running.
For scripts, --do does the same.

Exit status: 0 if the release succeeded, 1 if it rolled back, 2 if it was refused, 3 if it continues without this
command, 4 if it succeeded but could not be recorded. With --wait=false, the command exits with status 0 as soon as the
release is in progress. With --do, it exits with status 0 as soon as the request is stored, and with --do abort, when
the rollback is complete. 'make' replaces every status other than 0 with 2, so scripts that need the status run this
file.
"""

from __future__ import annotations

import argparse

from pathtolive import stack, status, target
from pathtolive.cli import AWS_ERRORS, CommandError, Parser, RefusedError, main, valid
from pathtolive.release import steering
from pathtolive.release.begin import release
from pathtolive.release.control import ABORT, reason
from pathtolive.release.executions import INCONCLUSIVE, REFUSED, SUCCEEDED, brief, remedy
from pathtolive.release.settings import milliseconds, read_settings, share, shares
from pathtolive.release.view import send_traffic


def _options() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.variable("--stage", "STAGE", example="live", help="stage to release to")
    parser.variable(
        *("--version", "VERSION"),
        default="",
        metavar="NUMBER",
        help="version to release (default: that of the previous stage)",
    )
    parser.variable(
        *("--routes", "ROUTES"),
        metavar="NAME",
        help="gateway deployment that the stage serves after the release (default: with --version, its own; otherwise "
        "that of the previous stage)",
    )
    parser.variable(
        *("--steps", "STEPS"),
        type=valid(shares),
        metavar="PERCENTAGES",
        help="weights of the new version in percent, such as 10,50",
    )
    parser.variable("--step-seconds", "STEP_SECONDS", type=int, metavar="SECONDS", help="duration of each step")
    parser.variable(
        *("--bake-seconds", "BAKE_SECONDS"),
        type=int,
        metavar="SECONDS",
        help="how long the new version is watched while it has all traffic",
    )
    parser.add_argument(
        "--max-error-rate",
        type=valid(share),
        metavar="PERCENTAGE",
        help="highest share of the new version's invocations that can fail",
    )
    parser.add_argument(
        "--max-p99-ms",
        type=valid(milliseconds),
        metavar="MS",
        help="duration that at most 1 %% of its invocations can exceed",
    )
    parser.add_argument(
        "--min-invocations", type=int, metavar="NUMBER", help="invocations that the analysis of a step needs"
    )
    parser.add_argument(
        "--max-extensions", type=int, metavar="NUMBER", help="how many times an inconclusive step is extended"
    )
    parser.add_argument(
        "--on-inconclusive",
        choices=["rollback", "promote", "hold"],
        help="then: roll back, continue with the next step, or hold the weight until the analysis succeeds or fails",
    )
    parser.variable(
        *("--ignore-alarms-reason", "IGNORE_ALARMS_REASON"),
        metavar="REASON",
        help="release even if alarms of the stage fire, and record why",
    )
    parser.variable(
        *("--ignore-freeze-reason", "IGNORE_FREEZE_REASON"),
        metavar="REASON",
        help="release even if the stage is frozen, and record why",
    )
    parser.variable(
        *("--hold", "HOLD"),
        action="store_true",
        default=None,
        help="wait for approval (--do resume) after the smoke test, before any traffic is shifted",
    )
    parser.variable(
        *("--do", "DO"),
        choices=steering.ACTIONS,
        help="steer the release in progress: skip the rest of its step, hold, resume, or abort",
    )
    parser.variable(
        *("--reason", "REASON"),
        default="",
        type=valid(reason),
        help="with --do: reason for the action; otherwise: reason to release a version that was rolled back before",
    )
    parser.variable(
        *("--wait", "WAIT"),
        choices=["true", "false"],
        default="true",
        help="false: end as soon as the release is in progress",
    )
    parser.add_argument("--yes", action="store_true", help="start without confirmation")
    options: argparse.Namespace = parser.parse_args()
    if options.do and options.do != ABORT and not options.reason:
        parser.error(f"set REASON, as in: make release STAGE={options.stage} DO={options.do} REASON=...")
    return options


def command() -> int:
    """Return 0 if the release succeeds; main turns its errors into the other exit statuses."""
    options = _options()
    try:
        here = stack.use(target.from_environment())
    except (CommandError, *AWS_ERRORS) as error:
        raise RefusedError(str(error)) from error
    if options.do:
        steering.steer(here, options.stage, options.do, options.reason)
        return 0
    given = read_settings({**vars(options), "ignore_rejection_reason": options.reason or None})
    ended = release(here, given, yes=options.yes, wait=options.wait == "true", gateway_deployment=options.routes)
    if ended is None:
        return 0
    if ended.outcome == REFUSED:
        raise RefusedError(f"Refused: {brief(ended.reason)}{remedy(ended)}\nNothing was changed.")
    if ended.outcome != SUCCEEDED:
        traffic = f"\n{send_traffic(here, options.stage)}" if ended.reason.startswith(INCONCLUSIVE) else ""
        raise CommandError(
            f"{ended.outcome.capitalize()}: {brief(ended.reason)}\n"
            f"All traffic goes to version {ended.from_version}. config.tf was not changed.{traffic}"
        )
    status.conclude(here)
    return 0


if __name__ == "__main__":
    main(command)
