"""Commands that cannot do what they are asked to do print a remedy and change nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.checkout import Checkout
from tests.conftest import REGION, ROOT, free_port

BUCKET = f"path-to-live-state-000000000000-{REGION}"
COMMANDS = sorted((ROOT / "scripts").glob("*.py"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with Checkout(tmp_path_factory.mktemp("commands") / "checkout") as checkout:
        yield checkout


@pytest.fixture
def aws(endpoint: str, client: Callable[[str], Any]) -> Iterator[dict[str, str]]:
    """Yield the variables of an AWS account that is empty, except for the resources of a test."""
    yield {
        "TARGET": "aws",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
    }
    assert client("lambda").list_functions()["Functions"] == []
    assert client("apigatewayv2").get_apis()["Items"] == []


def refused(checkout: Checkout, command: str, **environment: str) -> str:
    """Return the error of a command, which must fail within seconds and leave the repository unchanged."""
    began = time.monotonic()
    done = checkout.run(command, **environment)
    assert done.returncode != 0, done.stdout
    assert time.monotonic() - began < 30
    assert "Traceback" not in done.stderr
    assert checkout.git("status", "--porcelain") == ""
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("script", COMMANDS, ids=lambda path: path.name)
def test_command_has_help(script: Any) -> None:
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {script.name}")


STAGE_COMMANDS = [f"{command} STAGE=live" for command in ("release", "rollback", "history", "record", "logs")]
EVERY_DAY = ["deploy", "plan", "status", "promote FROM=dev TO=test", *STAGE_COMMANDS]


@pytest.mark.parametrize("arguments", [*EVERY_DAY, "destroy CONFIRM=1"])
def test_command_without_credentials_prints_how_to_set_them(checkout: Checkout, arguments: str) -> None:
    said = refused(
        checkout,
        f"make {arguments}",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_SHARED_CREDENTIALS_FILE="/nowhere",
        AWS_CONFIG_FILE="/nowhere",
    )
    assert "AWS cannot be reached" in said
    assert "Set credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, 'aws sso login'), or use TARGET=local" in said


@pytest.mark.parametrize("arguments", EVERY_DAY)
def test_command_without_state_bucket_prints_how_to_create_it(
    checkout: Checkout, aws: dict[str, str], client: Callable[[str], Any], arguments: str
) -> None:
    said = refused(checkout, f"make {arguments}", **aws)
    assert f"Account 000000000000 has no bucket {BUCKET}" in said
    assert "Create it with: make bootstrap Or name a bucket of your own in STATE_BUCKET" in said
    assert client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize("arguments", ["status", "plan", "history STAGE=live", "logs STAGE=live"])
def test_command_that_reads_writes_nothing_if_nothing_is_deployed(
    checkout: Checkout, endpoint: str, client: Callable[[str], Any], arguments: str
) -> None:
    said = refused(checkout, f"make {arguments}", TARGET="local", AWS_ENDPOINT_URL=endpoint)
    assert "Nothing is deployed. Run: make build deploy TARGET=local" in said
    assert client("s3").list_buckets()["Buckets"] == []
    assert not (checkout.path / ".local" / "terraform").exists()


def test_command_uses_the_configured_state_bucket(checkout: Checkout, aws: dict[str, str]) -> None:
    assert "has no bucket mine " in refused(checkout, "make plan", STATE_BUCKET="mine", **aws)


@pytest.fixture
def state_bucket(client: Callable[[str], Any]) -> Iterator[None]:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield
    assert s3.list_objects_v2(Bucket=BUCKET).get("Contents", []) == []
    s3.delete_bucket(Bucket=BUCKET)


@pytest.mark.usefixtures("state_bucket")
class TestAccountWithoutStack:
    def test_unknown_stage_is_refused(self, checkout: Checkout, aws: dict[str, str]) -> None:
        assert "has no stage 'prod'. Name one of: dev, test, live" in refused(checkout, "make deploy STAGE=prod", **aws)

    def test_nothing_is_deployed_without_an_artifact(self, checkout: Checkout, aws: dict[str, str]) -> None:
        shutil.rmtree(checkout.path / "dist", ignore_errors=True)
        assert "There is no artifact. Build it with: make build" in refused(checkout, "make deploy", **aws)

    @pytest.mark.parametrize("arguments", ["status", "promote FROM=dev TO=test", *STAGE_COMMANDS])
    def test_command_reports_that_nothing_is_deployed(
        self, checkout: Checkout, aws: dict[str, str], arguments: str
    ) -> None:
        assert "Nothing is deployed. Run: make build deploy" in refused(checkout, f"make {arguments}", **aws)

    @pytest.mark.parametrize("arguments", [one for one in [*EVERY_DAY, "destroy CONFIRM=1"] if one != "deploy"])
    def test_command_does_not_create_a_workspace(self, checkout: Checkout, aws: dict[str, str], arguments: str) -> None:
        said = refused(checkout, f"make {arguments} WORKSPACE=alcie", **aws)
        assert "The workspace alcie does not exist." in said
        assert "run: make build deploy WORKSPACE=alcie" in said

    def test_destroy_asks_for_confirmation(self, checkout: Checkout, aws: dict[str, str]) -> None:
        assert "CONFIRM=" in refused(checkout, "make destroy", **aws)


def test_target_is_aws_or_local(checkout: Checkout) -> None:
    said = refused(checkout, "make plan TARGET=cloud")
    assert "TARGET=cloud is unknown: use TARGET=local for local AWS, or TARGET=aws" in said


def test_promote_needs_two_stages(checkout: Checkout) -> None:
    assert "set FROM and TO, as in: make promote FROM=dev TO=test" in refused(checkout, "make promote FROM=dev")


@pytest.mark.parametrize("command", ["release", "rollback", "history", "record", "logs"])
def test_command_needs_a_stage(checkout: Checkout, command: str) -> None:
    assert f"set STAGE, as in: make {command} STAGE=live" in refused(checkout, f"make {command}")


# The variables that options default to, and those that no option has.
VARIABLES = sorted(
    {"STATE_BUCKET", "TARGET", "V", "WORKSPACE"}
    | {
        name
        for script in (ROOT / "scripts").glob("*.py")
        for name in re.findall(r'"--[a-z0-9-]+",\s+"([A-Z_]+)"', script.read_text())
    }
)
LISTED = (
    "plan",
    "deploy",
    "promote",
    "release",
    "rollback",
    "record",
    "status",
    "history",
    "logs",
    "load",
    "stress",
    "destroy",
)


def test_variables_of_every_command_are_found() -> None:
    assert {"STAGE", "STEP_SECONDS", "IGNORE_ALARMS_REASON", "GITHUB_REPOSITORY", "ROUTE"} <= set(VARIABLES)


@pytest.mark.parametrize("value", ["`touch executed`", "$(touch executed)", '"; touch executed; "'])
@pytest.mark.parametrize("command", ["local", "bootstrap", *LISTED])
def test_value_of_a_variable_is_never_run_as_a_command(checkout: Checkout, command: str, value: str) -> None:
    """Values can come from the inputs of a workflow, which other people can set."""
    # make expands $() on its command line, to nothing because no such variable exists.
    given = [] if value.startswith("$") else [f"{name}={value}" for name in VARIABLES]
    for arguments, environment in ((given, {}), ([], dict.fromkeys(VARIABLES, value))):
        if arguments or environment:
            assert checkout.execute("make", command, *arguments, **environment).returncode != 0
    assert not (checkout.path / "executed").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("history --stage live --limit=-1", "'-1' is not a number of releases"),
        ("history --stage live --limit 1e3", "'1e3' is not a number of releases"),
        ("load --stage live --rate nan", "--rate nan is not greater than 0 and at most 1000 requests per second"),
        ("local start --port 0", "'0' is not a port: use a number from 1 to 65535"),
        ("local start --port=-4", "'-4' is not a port"),
        ("local start --port 65536", "'65536' is not a port"),
        ("local start --speed nan", "'nan' is not a number from 1 to 1000"),
        ("release --stage live --max-p99-ms nan", "'nan' is not a number of milliseconds"),
        ("release --stage live --max-p99-ms inf", "'inf' is not a number of milliseconds"),
        ("release --stage live --max-p99-ms fast", "'fast' is not a number of milliseconds"),
        ("release --stage live --max-error-rate nan", "nan % is not from 0 to 100"),
        ("release --stage live --steps 10,nan", "nan % is not from 0 to 100"),
        ("release --stage live --step-seconds 1.5", "invalid int value: '1.5'"),
        ("logs --stage live --since=-1m", "'-1m' is not a number of minutes or hours, such as 15m or 2h"),
    ],
)
def test_number_that_is_none_is_refused(arguments: str, message: str) -> None:
    script, *options = arguments.split()
    command = [sys.executable, f"scripts/{script}.py", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_local_refuses_a_port_that_is_in_use(checkout: Checkout, endpoint: str) -> None:
    port = endpoint.rpartition(":")[2]
    assert f"Port {port} of 127.0.0.1 is in use" in refused(checkout, f"make local PORT={port}")


def test_local_refuses_an_invalid_speed(checkout: Checkout) -> None:
    for speed in ("0.5", "1001", "nan", "fast"):
        assert f"'{speed}' is not a number from 1 to 1000" in refused(checkout, f"make local SPEED={speed}")


@pytest.mark.parametrize("command", ["make local", "make plan"])
def test_error_names_an_endpoint_that_does_not_answer(checkout: Checkout, command: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert url in refused(checkout, command, AWS_ENDPOINT_URL=url, AWS_MAX_ATTEMPTS="1")


def test_error_names_a_profile_that_does_not_exist(checkout: Checkout) -> None:
    said = refused(checkout, "make plan TARGET=aws", AWS_PROFILE="nobody")
    assert "nobody" in said
    assert "List the profiles with: aws configure list-profiles" in said


def test_make_without_target_prints_help(checkout: Checkout) -> None:
    said = checkout.make("")
    for target in ("local", "test", "deploy", "promote", "status", "destroy"):
        assert f"\n  {target} " in said
    assert "make exits with 2: for the command's own exit status, run" in said
