"""State machines for tests that also pass on AWS."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.conftest import SPEED
from tests.python.emulator.contract.support import Client
from tests.waiting import eventually


@dataclass
class StateMachine:
    """A state machine of one test, in JSONata, with a separate role."""

    client: Client
    name: str
    role: str
    arn: str = ""

    @property
    def api(self) -> Any:
        return self.client("stepfunctions")

    @property
    def account(self) -> str:
        return self.role.split(":")[4]

    @property
    def speed(self) -> int:
        """Return the number of AWS's seconds that pass in a second."""
        return 1 if self.api.meta.endpoint_url.endswith("amazonaws.com") else SPEED

    def allow(self, *statements: dict[str, Any], policy: str = "test") -> None:
        """Replace a policy of its role with the statements."""
        self.client("iam").put_role_policy(RoleName=self.name, PolicyName=policy, PolicyDocument=document(*statements))

    def create(self, states: dict[str, Any], start: str | None = None, **settings: Any) -> str:
        """Create the state machine, which starts at the first state."""
        definition = {"QueryLanguage": "JSONata", "StartAt": start or next(iter(states)), "States": states}
        top = {key: settings.pop(key) for key in ("TimeoutSeconds",) if key in settings}
        self.arn = str(
            self.api.create_state_machine(
                name=self.name, roleArn=self.role, definition=json.dumps(definition | top), **settings
            )["stateMachineArn"]
        )
        return self.arn

    def start(self, given: Any = None, **settings: Any) -> str:
        """Start an execution and return its ARN."""
        content = json.dumps({} if given is None else given)
        arn = self.api.start_execution(stateMachineArn=self.arn, input=content, **settings)["executionArn"]
        return str(arn)

    def end(self, execution: str) -> Any:
        """Wait for the end of an execution, and return its description with the parsed output."""

        def look() -> Any:
            found = self.api.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        # Some tests need a minute of AWS.
        found = eventually(look, seconds=120)
        return found | ({"output": json.loads(found["output"])} if found.get("output") else {})

    def run(self, given: Any = None) -> Any:
        """Run an execution to its end, and return its description."""
        return self.end(self.start(given))

    def output(self, given: Any = None) -> Any:
        """Run an execution, which must succeed, and return its output."""
        ended = self.run(given)
        assert ended["status"] == "SUCCEEDED", ended
        return ended["output"]

    def seconds(self, execution: str, *types: str) -> list[float]:
        """Return the intervals between the events of these types, in seconds of AWS."""
        moments = [event["timestamp"] for event in self.history(execution) if event["type"] in types]
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        return [gap / timedelta(seconds=1) * self.speed for gap in gaps]

    def history(self, execution: str) -> list[Any]:
        pages = self.api.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]


def statement(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    """Return a statement that allows actions."""
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def document(*statements: dict[str, Any]) -> str:
    """Return a policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, **more: Any) -> str:
    """Return the trust policy of a role that a service may assume."""
    principal = {"Service": f"{service}.amazonaws.com"}
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"} | more)


def task(resource: str, arguments: Any, **more: Any) -> dict[str, Any]:
    """Return a Task state of an integration, by default the last state."""
    following = {} if "Next" in more else {"End": True}
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments} | following | more


def caught(resource: str, arguments: Any) -> dict[str, Any]:
    """Return states that send a request and output its error."""
    catch = {"ErrorEquals": ["States.ALL"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}
    return {"Call": task(resource, arguments, Catch=[catch]), "Caught": {"Type": "Succeed"}}
