"""The state machine of the Terraform module, on the interpreter of local AWS, with a fake of the services."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator import clock, server
from tests.conftest import free_port
from tests.python.release.world import FUNCTION, STAGE, Engine, ServiceError, World
from tests.terraform.support import SOURCE, Configuration, copy

# Waits take milliseconds; a timeout of a day takes seconds.
SPEED = 10_000
# Steps and a bake of a minute: two looks each, because the first reads nothing.
SHORT = {"step_seconds": 60, "bake_seconds": 60}
FUNCTION_ARN = f"arn:aws:lambda:eu-west-2:000000000000:function:{FUNCTION}"


@pytest.fixture(scope="session")
def definition(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the definition in the module's plan."""
    release = Configuration(copy(tmp_path_factory.mktemp("release") / "release", SOURCE / "modules" / "release"))
    plan = release.variables(
        function_arn=FUNCTION_ARN,
        log_retention_days=7,
        name=FUNCTION,
        topic_arn="arn:aws:sns:eu-west-2:000000000000:greeter-alerts",
        console_url="https://console.aws.amazon.com",
        error_metrics=[
            {"namespace": FUNCTION, "name": "Answered", "dimensions": {"alias": STAGE, "version": "{version}"}}
        ],
        settings={"metrics_delay_seconds": 0, "timeout_seconds": 43_200},
        smoke_tests=[{}, {"path": "/build-info", "json": {"function.version": "{version}"}}],
        stage=STAGE,
        unhealthy_alarm=f"{FUNCTION}-{STAGE}-unhealthy",
    ).plan()
    return str(plan.resources["aws_sfn_state_machine.this"]["values"]["definition"])


@pytest.fixture(scope="session")
def stepfunctions() -> Iterator[Any]:
    """Yield the Step Functions of local AWS, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BIND_HOST", "GATEWAY_PORT", "LOG_LEVEL", "PERSIST_STATE", "S3_PERSIST"):
            patch.setenv(name, "")
        patch.setattr(clock, "speed", SPEED)
        server.load(free_port(), None, SPEED)
        from ministack.services import stepfunctions  # noqa: PLC0415 - it reads its settings when it is imported

        yield stepfunctions


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def engine(stepfunctions: Any, definition: str, world: World, monkeypatch: pytest.MonkeyPatch) -> Engine:
    from emulator.iam import roles  # noqa: PLC0415
    from emulator.step_functions import executions, integrations  # noqa: PLC0415

    def invoke(resource: str, given: Any) -> Any:
        events = executions.current().record["events"]
        entered = [event for event in events if event["type"].endswith("StateEntered")]
        try:
            return world.invoke(entered[-1]["stateEnteredEventDetails"]["name"], resource, given)
        except ServiceError as failure:
            raise stepfunctions._ExecutionError(failure.error, failure.cause) from None

    # The fake responds instead of AWS, and has no roles.
    monkeypatch.setattr(stepfunctions, "_invoke_resource", invoke)
    monkeypatch.setattr(integrations, "authorize", lambda *_: None)
    monkeypatch.setattr(roles, "assumable", lambda *_: True)
    return Engine(stepfunctions, definition)


@pytest.fixture
def states(definition: str) -> dict[str, Any]:
    """Return the states by name."""
    return dict(json.loads(definition)["States"])


@pytest.fixture
def release(engine: Engine) -> Callable[..., Any]:
    """Return a function that releases the new version to live with some settings and returns the execution."""

    def run(**settings: Any) -> Any:
        return engine.run({"version": "7", **SHORT, **settings})

    return run
