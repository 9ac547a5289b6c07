"""Functions, APIs, and their URLs, for tests that also pass on AWS."""

from __future__ import annotations

import http.client
import io
import json
import textwrap
import urllib.parse
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

REGION = "eu-west-2"
Client = Callable[[str], Any]


def zipped(source: str) -> bytes:
    """Return a zip file that contains ``handler.py``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("handler.py", textwrap.dedent(source))
    return buffer.getvalue()


@dataclass
class Function:
    """A Lambda function of one test."""

    client: Client
    name: str
    role: str

    @property
    def api(self) -> Any:
        return self.client("lambda")

    @property
    def arn(self) -> str:
        return str(self.api.get_function(FunctionName=self.name)["Configuration"]["FunctionArn"])

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    def create(self, source: str, **settings: Any) -> str:
        """Create and publish the function, and return its version."""
        made = self.api.create_function(
            FunctionName=self.name,
            Role=self.role,
            Runtime="python3.13",
            Handler="handler.handler",
            Code={"ZipFile": zipped(source)},
            Publish=True,
            **settings,
        )
        return str(made["Version"])

    def update(self, source: str) -> str:
        """Publish another source, and return its version."""
        return str(
            self.api.update_function_code(FunctionName=self.name, ZipFile=zipped(source), Publish=True)["Version"]
        )

    def alias(self, name: str, version: str, weights: Mapping[str, float] | None = None) -> Any:
        routing = {"RoutingConfig": {"AdditionalVersionWeights": dict(weights)}} if weights else {}
        return self.api.create_alias(FunctionName=self.name, Name=name, FunctionVersion=version, **routing)

    def call(self, event: Any = None, qualifier: str | None = None, **more: Any) -> Any:
        """Invoke the function, and return the answer with the parsed payload."""
        arguments = more | ({"Qualifier": qualifier} if qualifier else {})
        answer = self.api.invoke(FunctionName=self.name, Payload=json.dumps(event).encode(), **arguments)
        content = answer["Payload"].read()
        return answer | {"Payload": json.loads(content) if content else None}

    def log(self, group: str | None = None) -> list[tuple[str, str]]:
        """Return the stream and the message of every event in the log, or nothing if the log does not exist yet."""
        logs = self.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group or f"/aws/lambda/{self.name}")
        try:
            events = [event for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [(event["logStreamName"], event["message"].rstrip("\n")) for event in events]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Api:
    """An HTTP API of one test, which invokes a function."""

    client: Client
    endpoint: str
    function: Function
    id: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def gateway(self) -> Any:
        return self.client("apigatewayv2")

    def integrate(self, qualifier: str = "", **settings: Any) -> str:
        """Create an integration with the function, and return its id."""
        uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{self.function.arn}{qualifier}/invocations"
        return str(
            self.gateway.create_integration(
                ApiId=self.id,
                IntegrationType="AWS_PROXY",
                IntegrationUri=uri,
                **{"PayloadFormatVersion": "2.0", **settings},
            )["IntegrationId"]
        )

    def route(self, key: str, integration: str) -> str:
        return str(
            self.gateway.create_route(ApiId=self.id, RouteKey=key, Target=f"integrations/{integration}")["RouteId"]
        )

    def stage(self, name: str = "dev", **settings: Any) -> Any:
        return self.gateway.create_stage(ApiId=self.id, StageName=name, **settings)

    def deploy(self, **settings: Any) -> str:
        return str(self.gateway.create_deployment(ApiId=self.id, **settings)["DeploymentId"])

    def permit(self, source: str = "*/*", qualifier: str | None = None, statement: str = "api") -> None:
        arguments = {"Qualifier": qualifier} if qualifier else {}
        self.function.api.add_permission(
            FunctionName=self.function.name,
            StatementId=statement,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{self.function.account}:{self.id}/{source}",
            **arguments,
        )

    def call(
        self,
        path: str = "/",
        stage: str = "dev",
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
    ) -> Answer:
        """Send a request to a stage."""
        at = urllib.parse.urlsplit(self.endpoint)
        prefix = "" if stage == "$default" else f"/{stage}"
        if at.hostname and at.hostname.endswith("amazonaws.com"):
            host = f"{self.id}.execute-api.{REGION}.amazonaws.com"
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, timeout=60)
        else:
            connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
            prefix = f"/_aws/execute-api/{self.id}{prefix}"
        connection.putrequest(method, f"{prefix}{path}")
        for name, value in dict(headers).items() if isinstance(headers, Mapping) else headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.getheaders(), answer.read())
        connection.close()
        return found


ECHO = """
    def handler(event, context):
        return {"statusCode": 200, "headers": {"content-type": "application/json"},
                "body": __import__("json").dumps({"event": event, "version": context.function_version,
                                                  "arn": context.invoked_function_arn})}
"""
