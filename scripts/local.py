"""Run the whole path on this machine: embedded AWS, the artifact, Terraform, three stages that answer."""

from __future__ import annotations

import argparse
import os
import time

import rich.console

from pathtolive import deployment, local_aws, stack, status, target
from pathtolive.cli import CommandError, main, speed_argument

CONSOLE = rich.console.Console(soft_wrap=True, highlight=False)


def start(port: int | None, speed: float | None, *, keep_state: bool) -> None:
    """Bring embedded AWS up, or the endpoint in AWS_ENDPOINT_URL, and deploy the artifact there."""
    began = time.monotonic()
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        if not local_aws.answers(endpoint):
            raise CommandError(f"Nothing answers at AWS_ENDPOINT_URL={endpoint}: start it, or unset the variable")
        _say(f"Using the AWS at {endpoint}")
    else:
        address = local_aws.start(port, speed, keep_state=keep_state)
        _say(f"Embedded AWS answers on {address}, {_pace(local_aws.speed(address))}")
    here = stack.prepare(target.from_environment())
    _say("Terraform is ready")
    deployment.deploy(here)
    status.show(here)
    _say(f"All stages answer, after {time.monotonic() - began:.0f} s. Stop embedded AWS with 'make stop'.")


def _pace(speed: float) -> str:
    if speed == 1:
        return "at AWS's own pace"
    return f"where AWS's waits, metrics and alarms pass {speed:g} times faster (SPEED=1 is AWS's pace)"


def stop() -> None:
    """Stop the embedded AWS that ``start`` started."""
    _say("Embedded AWS is stopped" if local_aws.stop() else "Embedded AWS does not run")


def _say(text: str) -> None:
    CONSOLE.print(f"[bold]==>[/] {text}")


def command() -> int:
    """Return 0 where all stages answer, or embedded AWS is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--port", type=int, help=f"port of embedded AWS ({local_aws.DEFAULT_PORT})")
    parser.add_argument(
        "--speed",
        type=speed_argument,
        metavar="TIMES",
        help="how much faster than on AWS waits, metric periods and alarms pass on embedded AWS "
        f"({local_aws.DEFAULT_SPEED:g}); an endpoint in AWS_ENDPOINT_URL has its own pace",
    )
    parser.add_argument("--keep-state", action="store_true", help="remember everything over a restart")
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
