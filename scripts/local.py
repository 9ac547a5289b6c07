"""Run the whole path on this machine: start local AWS, deploy the artifact, and print the URL of each stage."""

from __future__ import annotations

import os
import re
import time

from pathtolive import changed_stages, deployment, local_aws, progress, stack, state, status, target
from pathtolive.cli import CommandError, Parser, main, speed, valid


def start(port: int | None, speed: float | None, *, keep_state: bool) -> None:
    """Start local AWS, unless AWS_ENDPOINT_URL names an endpoint, and deploy the artifact there."""
    # make starts earlier, and installs what is missing.
    started = float(os.environ.get("STARTED") or time.time())
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        if not local_aws.answers(endpoint):
            raise CommandError(
                f"Nothing answers at AWS_ENDPOINT_URL={endpoint}. Start it, or unset the variable to use local AWS"
            )
    else:
        running = local_aws.url() is not None
        with progress.step("Start local AWS") as step:
            address = local_aws.start(port, speed, keep_state=keep_state)
            step.result = f"{address}, {_pace(local_aws.speed(address))}"
        if said := local_aws.set_aside():
            print(said)
        if not running:
            state.release_locks(target.from_environment())
    here = stack.prepare(target.from_environment(), new_workspace=True)
    changed_stages.pin_renamed(here)
    deployment.deploy(here)
    status.show(here)
    stop = "" if endpoint else " To stop local AWS, run: make stop"
    print(f"\nEvery stage answers after {time.time() - started:.0f} s.{stop}")


def _pace(speed: float) -> str:
    if speed == 1:
        return "at the pace of AWS"
    return f"waits, metrics, and alarms {speed:g} times as fast as on AWS (SPEED=1 for AWS's pace)"


def _port(text: str) -> int:
    """Return the number of a port; raise ValueError if it is none."""
    if not re.fullmatch(r"[1-9]\d{0,4}", text) or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port: use a number from 1 to 65535")
    return int(text)


def stop() -> None:
    """Stop the local AWS that ``start`` started."""
    print("Local AWS is stopped" if local_aws.stop() else "Local AWS is not running")


def command() -> int:
    """Return 0 if every stage answers, or local AWS is stopped."""
    parser = Parser(__doc__)
    parser.add_argument("action", choices=["start", "stop"])
    parser.variable(
        *("--port", "PORT"),
        type=valid(_port),
        metavar="NUMBER",
        help=f"port of local AWS (default: {local_aws.DEFAULT_PORT})",
    )
    parser.variable(
        "--speed",
        "SPEED",
        type=valid(speed),
        metavar="TIMES",
        help="speed of waits, metric periods, and alarms, relative to AWS "
        f"(default: {local_aws.DEFAULT_SPEED:g}); no effect on an endpoint in AWS_ENDPOINT_URL",
    )
    parser.variable("--keep-state", "PERSIST", action="store_true", help="keep everything over a restart")
    options = parser.parse_args()
    if options.action == "stop":
        stop()
    else:
        os.environ["TARGET"] = "local"
        target.ignore_aws_settings()
        start(options.port, options.speed, keep_state=options.keep_state)
    return 0


if __name__ == "__main__":
    main(command)
