"""A local AWS with resources that web pages must not reach."""

from __future__ import annotations

import base64
import functools
import http.client
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from tests.python.emulator.contract.support import Answer, zipped

# The Region of requests without a signature, such as those of web pages. A change elsewhere would not be seen.
REGION = "us-east-1"
# An open WebSocket, or a refusal with its reason. A refusal by the HTTP server itself has no reason.
WHOLE = re.compile(
    rb"HTTP/1.1 (101 .*\r\n\r\n|40\d .*\r\ncontent-length: (0\r\n.*\r\n\r\n|[1-9].*\r\n\r\n.+\n))", re.DOTALL
)
# Returns the path of its event, and records each invocation in a file.
SOURCE = """
    import json, os

    def handler(event, context):
        with open(os.environ["RUNS"], "a") as runs:
            runs.write("x")
        headers = {"content-type": "application/json"}
        if "own" in (event.get("rawQueryString") or ""):
            headers["Access-Control-Allow-Origin"] = "https://app.example"
        return {"statusCode": 200, "headers": headers, "body": json.dumps({"path": event.get("rawPath")})}
"""


@dataclass(frozen=True)
class Local:
    """A local AWS only for these tests, because an accepted hostile request could reset it."""

    port: int
    runs: Path

    @functools.cache  # noqa: B019 - one instance per module
    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=f"http://127.0.0.1:{self.port}", region_name=REGION)  # type: ignore[call-overload]

    def filled(self, text: str) -> str:
        """Replace the placeholders in a path or host with the ids of this local AWS."""
        ids = re.sub(r"\{(\w+)\}", lambda match: str(self.ids[match[1]]), text)
        return ids.replace("PORT", str(self.port))

    @functools.cached_property
    def ids(self) -> dict[str, str]:
        role = self.client("iam").create_role(RoleName="it", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        functions = self.client("lambda")
        arn = functions.create_function(
            FunctionName="it",
            Role=role,
            Runtime="python3.13",
            Handler="handler.handler",
            Code={"ZipFile": zipped(SOURCE)},
            Environment={"Variables": {"RUNS": str(self.runs)}},
        )["FunctionArn"]
        functions.add_permission(
            FunctionName="it", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
        )
        url = functions.create_function_url_config(FunctionName="it", AuthType="NONE")["FunctionUrl"]
        self.client("s3").create_bucket(Bucket="bucket")
        self.client("s3").put_object(Bucket="bucket", Key="key", Body=b"secret")
        root = self._api(arn, "$default")
        self._domain("api.it.localhost", root)
        return {
            "function_url": url.partition("://")[2].partition(".")[0],
            "named": self._api(arn, "dev"),
            "root": root,
            "socket": self._sockets(),
        }

    def _api(self, arn: str, stage: str) -> str:
        gateway = self.client("apigatewayv2")
        api = gateway.create_api(Name=stage, ProtocolType="HTTP")["ApiId"]
        integration = gateway.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        for key in ("GET /{proxy+}", "POST /{proxy+}", "PUT /{proxy+}", "GET /"):
            gateway.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{integration}")
        gateway.create_stage(ApiId=api, StageName=stage, AutoDeploy=True)
        return str(api)

    def _domain(self, name: str, api: str) -> None:
        gateway = self.client("apigatewayv2")
        certificate = "arn:aws:acm:us-east-1:000000000000:certificate/it"
        configurations = [{"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}]
        gateway.create_domain_name(DomainName=name, DomainNameConfigurations=configurations)
        gateway.create_api_mapping(ApiId=api, DomainName=name, Stage="$default")

    def _sockets(self) -> str:
        gateway = self.client("apigatewayv2")
        api = gateway.create_api(
            Name="socket", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action"
        )["ApiId"]
        gateway.create_stage(ApiId=api, StageName="dev")
        return str(api)

    @property
    def ran(self) -> str:
        """Return one character for each invocation of the function."""
        return self.runs.read_text() if self.runs.exists() else ""

    def state(self) -> dict[str, Any]:
        """Return the state that a hostile request of these tests would change."""
        buckets = [bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]]
        objects = self.client("s3").list_objects_v2(Bucket="bucket").get("Contents", []) if "bucket" in buckets else []
        return {
            "functions": [function["FunctionName"] for function in self.client("lambda").list_functions()["Functions"]],
            "runs": self.ran,
            "buckets": buckets,
            "keys": [item["Key"] for item in objects],
            "queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "topics": self.client("sns").list_topics()["Topics"],
            "apis": len(self.client("apigatewayv2").get_apis()["Items"]),
        }

    def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | list[tuple[str, str | bytes]] = (),  # type: ignore[assignment]
        body: bytes = b"",
        host: str | bytes = "localhost:PORT",
    ) -> Answer:
        """Send a request with only the given headers, ``Host``, and ``Content-Length``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, self.filled(path), skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", self.filled(host) if isinstance(host, str) else host)
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            connection.putheader(name, self.filled(value) if isinstance(value, str) else value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.getheaders(), answer.read())
        connection.close()
        return found

    def raw(self, request: str) -> str:
        """Send a request that HTTP clients don't support, and return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(self.filled(request).replace("\n", "\r\n").encode())
            received = b""
            while not WHOLE.match(received) and (chunk := connection.recv(65536)):
                received += chunk
        return received.decode("latin-1")


def function(name: str) -> bytes:
    """Return the body of a request that creates a function."""
    code = base64.b64encode(zipped(SOURCE)).decode()
    role = "arn:aws:iam::000000000000:role/it"
    settings = {"FunctionName": name, "Role": role, "Runtime": "python3.13", "Handler": "handler.handler"}
    return json.dumps(settings | {"Code": {"ZipFile": code}}).encode()
