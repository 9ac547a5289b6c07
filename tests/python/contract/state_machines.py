"""State machines for tests that would pass on AWS as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.python.contract.support import Client, eventually


@dataclass
class StateMachine:
    """A state machine of one test, in JSONata, with a role of its own."""

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

    def allow(self, *statements: dict[str, Any], policy: str = "test") -> None:
        """Let its role do what the statements say, and nothing else of this policy."""
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        self.client("iam").put_role_policy(RoleName=self.name, PolicyName=policy, PolicyDocument=json.dumps(document))

    def create(self, states: dict[str, Any], start: str | None = None, **settings: Any) -> str:
        """Create it, starting at the first state."""
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
        """Wait for an execution's end and describe it, its output parsed."""

        def look() -> Any:
            found = self.api.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        found = eventually(look)
        return found | ({"output": json.loads(found["output"])} if found.get("output") else {})

    def run(self, given: Any = None) -> Any:
        """Run an execution to its end and describe it."""
        return self.end(self.start(given))

    def output(self, given: Any = None) -> Any:
        """Run an execution, which must succeed, and return its output."""
        ended = self.run(given)
        assert ended["status"] == "SUCCEEDED", ended
        return ended["output"]

    def history(self, execution: str) -> list[Any]:
        pages = self.api.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]


def statement(action: str | list[str], resource: str | list[str], **more: Any) -> dict[str, Any]:
    """Return a statement of a policy that allows something."""
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def task(resource: str, arguments: Any, **more: Any) -> dict[str, Any]:
    """Return a Task state of an integration, the last one unless told otherwise."""
    following = {} if "Next" in more else {"End": True}
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments} | following | more


def caught(resource: str, arguments: Any) -> dict[str, Any]:
    """Return states that make a call and give out its error."""
    catch = {"ErrorEquals": ["States.ALL"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}
    return {"Call": task(resource, arguments, Catch=[catch]), "Caught": {"Type": "Succeed"}}
