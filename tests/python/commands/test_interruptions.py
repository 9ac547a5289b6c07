"""Commands that are interrupted at any moment: the same command, run again, completes them or says what to run.

A seed chooses the command, the signal, and the moment. 30 seeds pair each command with each signal, and spread the
moments of each command over its whole run. To repeat one: pytest -k seed_17. To run others: SEEDS=30-59.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import math
import os
import random
import re
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pathtolive import config_file
from tests import processes
from tests.conftest import REGION, get
from tests.interruptions import CONFIG, Clone, Running, Seen

SOURCE = Path("lambda/service/routes.py")
ARTIFACT = Path("dist/lambda.zip")
LOCAL = Path(".local/terraform")
BUCKET, STATE = f"path-to-live-state-000000000000-{REGION}", "path-to-live.tfstate"
STAGES = {"dev", "test", "live"}
GREETING = re.compile(r'return text_response\("(Hello.*)"\)')

SIGNALS = {
    "power failure": Running.lose_power,
    "SIGKILL to the script": Running.kill_script,
    "Ctrl-C": Running.press_ctrl_c,
    "SIGTERM to make": Running.terminate_make,
    "SIGTERM to all": Running.terminate_group,
    "Ctrl-C twice": Running.press_ctrl_c_twice,
}
KILLS = {"power failure", "SIGKILL to the script"}
# The last is one of the three below: to destroy and deploy everything takes a minute.
COMMANDS = ("deploy", "release", "rollback", "promote", None)
OTHERS = ("build", "deploy", "destroy")
# The requests that a whole run sends at least. A moment is a share of them.
REQUESTS = {"deploy": 150, "release": 120, "rollback": 120, "promote": 140, "destroy": 220}
MOVES = {"deploy": {"dev"}, "release": {"live"}, "rollback": {"live"}, "promote": {"test"}, "destroy": set()}
SEEDS = f"0-{len(SIGNALS) * len(COMMANDS) - 1}"
# A release of a few seconds.
RELEASE = {
    # For a version that another case has rolled back.
    "REASON": "to interrupt its release",
    "STEPS": "50",
    "STEP_SECONDS": "60",
    "BAKE_SECONDS": "60",
    "ARGS": "--min-invocations 1 --max-p99-ms 30000 --on-inconclusive promote --max-extensions 0",
}
SAYS_WHAT_TO_RUN = re.compile(r"run the command again|[Rr]un: make |with: make |run: make ")

pytestmark = [pytest.mark.endpoint, pytest.mark.long]


@dataclass(frozen=True)
class Case:
    """An interruption of a command after a share of its requests.

    ``answered`` is whether AWS has acted on the last request, whose response the command does not have yet.
    """

    seed: int
    command: str
    signal: str
    share: float
    answered: bool

    def __str__(self) -> str:
        when = "after" if self.answered else "before"
        return f"seed {self.seed}: {self.command}, {self.signal} at {self.share:.0%}, {when} AWS acts on the request"


def case(seed: int) -> Case:
    """Return the case of a seed."""
    chance = random.Random(seed)  # noqa: S311 - it is no secret
    row, column = divmod(seed, len(COMMANDS))
    share = ((row + 2 * column) % len(SIGNALS) + chance.random()) / len(SIGNALS)
    return Case(
        seed,
        COMMANDS[column] or OTHERS[row % len(OTHERS)],
        list(SIGNALS)[(column - row) % len(SIGNALS)],
        share,
        chance.random() < 0.5,
    )


def cases(*, builds: bool) -> list[Any]:
    """Return the cases, or those of SEEDS in the environment."""
    first, last = map(int, os.environ.get("SEEDS", SEEDS).split("-"))
    return [
        pytest.param(case(seed), id=f"seed_{seed}")
        for seed in range(first, last + 1)
        if (case(seed).command == "build") == builds
    ]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Yield a clone in which every stage runs version 1."""
    with Clone(tmp_path_factory.mktemp("interruptions") / "checkout", TARGET="local") as clone:
        clone.make("local")
        clone.interpose()
        clone.keep_provider()
        yield clone


@pytest.mark.parametrize("case", cases(builds=False))
def test_interrupted_command_is_completed_by_the_same_command(clone: Clone, case: Case) -> None:
    command, settings = prepare(clone, case)
    before = clone.see()
    with load(clone):
        _, said = clone.interrupt(
            command,
            SIGNALS[case.signal],
            number=math.ceil(case.share * REQUESTS[case.command]),
            answered=case.answered,
            **settings,
        )
        with explained(case, said):
            check_interrupted(clone, case, said, before)
            # Nobody releases the lock of a command that has lost its power.
            patience = "1s" if case.signal == "power failure" else "2m"
            completed = clone.complete(command, LOCK_TIMEOUT=patience, **settings)
    with explained(case, said, *completed):
        check_completed(clone, case, before, settings)


@pytest.mark.parametrize("case", cases(builds=True))
def test_interrupted_build_leaves_a_whole_artifact(clone: Clone, case: Case) -> None:
    """A build sends no requests: the moment is a share of the time that it takes."""
    clone.make("build")
    older, began = digest(clone), time.monotonic()
    clone.make("build")
    took = time.monotonic() - began
    change(clone)
    building = clone.start("make build")
    time.sleep(case.share * took)
    with contextlib.suppress(ProcessLookupError):
        SIGNALS[case.signal](building)
    said = building.wait()
    with explained(case, said):
        assert "Traceback" not in said
        interrupted = digest(clone)
        clone.make("build")
        assert digest(clone) != older
        assert interrupted in {older, digest(clone)}
        assert partial(clone) == []


@contextlib.contextmanager
def explained(case: Case, *said: str) -> Iterator[None]:
    """Add the case and what commands printed to an error."""
    try:
        yield
    except Exception as error:
        error.add_note("\n".join([f"{case}. To repeat it: pytest -k seed_{case.seed}", *said]))
        raise


def prepare(clone: Clone, case: Case) -> tuple[str, dict[str, str]]:
    """Return the command line of a case and its variables, when it has something to do."""
    if case.command == "deploy":
        change(clone)
        return "make build deploy", {}
    if case.command == "destroy":
        return "make destroy", {}
    if len(clone.see().versions) == 1:
        deploy_change(clone)
    if case.command == "release":
        aliases = clone.see().aliases
        version = next(each for each in reversed(clone.see().versions) if each != aliases["live"])
        return f"make release STAGE=live VERSION={version}", RELEASE
    if case.command == "rollback":
        if previous(clone) is None:
            clone.make(f"promote FROM={other_stage(clone, 'live')} TO=live REASON=again")
        return "make rollback STAGE=live", {}
    return f"make promote FROM={other_stage(clone, 'test')} TO=test", {}


def other_stage(clone: Clone, stage: str) -> str:
    """Return a stage that runs another version, after a deployment if there is none."""
    aliases = clone.see().aliases
    if len(set(aliases.values())) == 1:
        deploy_change(clone)
        aliases = clone.see().aliases
    return next(other for other, version in aliases.items() if version != aliases[stage])


def previous(clone: Clone) -> str | None:
    """Return the version that a rollback of live returns to, or None if the last change of live was a rollback."""
    last = json.loads(clone.make("--silent history STAGE=live JSON=1 ARGS=--limit=1"))
    moved = last and last[0]["outcome"] == "succeeded" and last[0]["kind"] != "rollback"
    return last[0]["from"] if moved and last[0]["to"] == clone.see().aliases["live"] else None


def deploy_change(clone: Clone) -> None:
    change(clone)
    clone.make("build deploy")


def change(clone: Clone) -> None:
    """Commit another greeting."""
    source = clone.path / SOURCE
    (greeting,) = GREETING.findall(source.read_text())
    number = int(greeting.removeprefix("Hello ")) + 1 if greeting[-1].isdigit() else 2
    clone.edit(SOURCE, f'"{greeting}"', f'"Hello {number}"')
    clone.commit(f"Say Hello {number}")


def digest(clone: Clone) -> str:
    """Return the hash of the artifact as Lambda has it, and verify that the artifact is whole."""
    path = clone.path / ARTIFACT
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def partial(clone: Clone) -> list[str]:
    """Return the files that exist only while something is planned or written."""
    directories = (ARTIFACT.parent, Path("terraform"), LOCAL, LOCAL.parent / ARTIFACT.parent)
    patterns = ("*.partial", ".*.partial", "imports.tf", "errored.tfstate")
    return [str(path) for below in directories for pattern in patterns for path in (clone.path / below).glob(pattern)]


def check_interrupted(clone: Clone, case: Case, said: str, before: Seen) -> None:
    assert "Traceback" not in said
    digest(clone)
    after = clone.see()
    assert config_file.read(clone.path / CONFIG).stages.keys() == STAGES
    if case.command != "destroy":
        assert after.versions.items() >= before.versions.items()
    if "Nothing was" in said:
        assert (after.aliases, after.versions, after.config) == (before.aliases, before.versions, before.config)
    if case.signal not in KILLS:
        assert partial(clone) == []
        assert SAYS_WHAT_TO_RUN.search(said)


def check_completed(clone: Clone, case: Case, before: Seen, settings: dict[str, str]) -> None:
    """Verify that the command has done what it should, once, and that nothing is left of the interruption."""
    assert terraforms(clone) == []
    if case.command == "destroy":
        assert clone.see().versions == {}
        clone.make("build deploy")
        before = clone.see()
    after = clone.see()
    newest = max(after.versions, key=int)
    moved = {stage for stage, version in after.aliases.items() if version != before.aliases[stage]}
    assert moved == MOVES[case.command]
    assert after.aliases["dev"] == newest
    assert after.versions[newest] == digest(clone)
    assert len(after.versions) == len(before.versions) + (case.command == "deploy")
    check_whole(clone)


def check_whole(clone: Clone) -> None:
    """Verify that Lambda, config.tf, Terraform's state, and API Gateway agree."""
    seen, pins = clone.see(), config_file.read(clone.path / CONFIG).stages
    newest = max(seen.versions, key=int)
    assert seen.weights == {stage: {} for stage in STAGES}
    assert seen.aliases == {
        stage: newest if pin.function_version == "newest" else pin.function_version for stage, pin in pins.items()
    }
    rows = clone.status()
    assert {stage: row["function_version"] for stage, row in rows.items()} == seen.aliases
    assert [get(row["url"])[0] for row in rows.values()] == [200, 200, 200]
    assert partial(clone) == []
    assert "Contents" not in clone.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{STATE}.tflock")
    assert running_executions(clone) == []
    assert "No changes." in clone.make("plan")


def terraforms(clone: Clone) -> list[str]:
    """Return the Terraform processes of the clone."""
    return [
        processes.describe(each)
        for each in processes.below(clone.path)
        if any(Path(part).name == "terraform" for part in each.cmdline()[:2])
    ]


def running_executions(clone: Clone) -> list[str]:
    machines = clone.client("stepfunctions")
    return [
        execution["name"]
        for machine in machines.list_state_machines()["stateMachines"]
        for execution in machines.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING")[
            "executions"
        ]
    ]


@contextlib.contextmanager
def load(clone: Clone) -> Iterator[None]:
    """Send requests to live, for a release to analyze."""
    (api,) = clone.client("apigatewayv2").get_apis()["Items"]
    url = f"{clone.behind}/_aws/execute-api/{api['ApiId']}/live/"
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.05):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url, timeout=30).close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
