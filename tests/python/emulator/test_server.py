"""The start, the state, and the end of ``python -m emulator``."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import importlib.metadata
import json
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from emulator import hooks, server
from emulator.asgi import Receive, Scope, Send
from tests.conftest import REGION, ROOT, answers, free_port, get, local_aws
from tests.python.emulator.contract.support import Function, zipped
from tests.waiting import eventually

SOURCE = "def handler(event, context): return {'statusCode': 200, 'body': context.function_version}"


def client(url: str, service: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name=REGION)  # type: ignore[call-overload]


def create(url: str, source: str = SOURCE, **settings: Any) -> Function:
    """Create a function, and publish version 1."""
    role = client(url, "iam").create_role(RoleName="it", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    function = Function(functools.partial(client, url), "it", role)
    function.create(source, **settings)
    return function


@contextlib.contextmanager
def emulator(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "emulator", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            # This has no effect if the process has ended.
            process.kill()


def test_server_refuses_a_port_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with emulator("--port", str(port)) as process:
            _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in said
    assert "choose another port: --port 4567" in said


@pytest.mark.parametrize(("version", "found"), [("1.5.32", "1.5.32"), (None, "none")])
def test_server_refuses_another_version_of_ministack(
    monkeypatch: pytest.MonkeyPatch, version: str | None, found: str
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    with pytest.raises(
        server.ServerError,
        match=f"^Local AWS needs MiniStack 1.5.33, found {found}. Install it with: pip install ministack==1.5.33$",
    ):
        server.load(free_port(), None)


def test_hook_refuses_a_function_with_other_parameters() -> None:
    with pytest.raises(hooks.HookError, match=r"json.dumps takes .*, not \['other'\]: this is not MiniStack 1.5.33"):
        hooks.wrap(json, "dumps", ["other"], lambda original: None)
    with pytest.raises(hooks.HookError, match=r"json.missing takes None"):
        hooks.wrap(json, "missing", [], lambda original: None)


def test_server_has_help() -> None:
    with emulator("--help") as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "--port" in said
    assert "--state" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_ends_with_its_workers(number: signal.Signals) -> None:
    port = free_port()
    with emulator("--port", str(port)) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(url), 60)
        function = create(url)
        assert function.call()["Payload"]["statusCode"] == 200
        workers = psutil.Process(process.pid).children(recursive=True)
        listening = {
            (connection.laddr.ip, connection.laddr.port)
            for owner in [psutil.Process(process.pid), *workers]
            for connection in owner.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        process.send_signal(number)
        said, complained = process.communicate(timeout=30)
        gone, alive = psutil.wait_procs(workers, timeout=5)
    assert listening == {("127.0.0.1", port)}
    assert said == f"Local AWS answers on {url}\n"
    assert (process.returncode, complained) == (0, "")
    assert len(gone) >= 1
    assert alive == []


SLEEP = "import time; time.sleep(40)"


@pytest.mark.parametrize("source", [SLEEP, f"def handler(event, context): {SLEEP}"], ids=["starts", "runs"])
def test_server_ends_while_a_function(source: str) -> None:
    port = free_port()
    with emulator("--port", str(port)) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(url), 60)
        create(url, source, Timeout=60)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            request = "POST /2015-03-31/functions/it/invocations HTTP/1.1\r\nContent-Length: 2\r\n"
            signed = f"Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/lambda/aws4_request\r\n"
            connection.sendall(f"{request}{signed}Host: localhost:{port}\r\n\r\n{{}}".encode())
            workers = eventually(lambda: psutil.Process(process.pid).children(recursive=True))
            process.terminate()
            _, complained = process.communicate(timeout=20)
        _, alive = psutil.wait_procs(workers, timeout=5)
    assert (process.returncode, alive) == (0, [])
    assert "Traceback" not in complained


def test_server_does_not_start_if_its_state_cannot_be_restored() -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        raise OSError("no space left")

    async def run() -> None:
        async with asyncio.timeout(30):
            await server._Server(server._configuration(app, free_port())).serve()

    with pytest.raises(SystemExit):
        asyncio.run(run())


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("offer", ["h2c", "TLS/1.2", "h2c, websocket"])
def test_offer_of_another_protocol_does_not_cost_the_body(tmp_path: Path, offer: str, packets: int) -> None:
    """Java's HTTP client and ``curl --http2`` make one with every first request."""
    body = b"\r\nUpgrade: h2c\r\n\r\nUpgrade: h2c\r\n"
    with local_aws(tmp_path / "log") as url:
        s3 = client(url, "s3")
        s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
        host, _, port = url.partition("://")[2].partition(":")
        head = f"PUT /kept/it HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        head += f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {offer}\r\nHTTP2-Settings: AAMAAABkAAQAoA\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2):
                if packets == 2:
                    connection.sendall(head.encode())
                    # The server answers other requests in between, so it has read the first packet.
                    s3.list_buckets()
                connection.sendall(body if packets == 2 else head.encode() + body)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert s3.get_object(Bucket="kept", Key="it")["Body"].read() == body


def test_requests_of_a_connection_have_nothing_of_those_before_it(tmp_path: Path) -> None:
    """The account is that of the access key: https://ministack.org/docs."""
    with local_aws(tmp_path / "log") as url:
        connection = http.client.HTTPConnection(url.partition("://")[2], timeout=30)
        found = []
        for key in ("111111111111", "", "222222222222"):
            credential = f"{key}/20260101/eu-west-2/sts/aws4_request"
            signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"}
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            # The server stops and resumes to read a long one, which is where asyncio passes the context on.
            body = "Action=GetCallerIdentity&Version=2011-06-15&Padding=" + "x" * 500_000
            connection.request("POST", "/", body, form | (signed if key else {}))
            found.append(re.findall("<Account>(.*)</Account>", connection.getresponse().read().decode()))
        connection.close()
    assert found == [["111111111111"], ["000000000000"], ["222222222222"]]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let processes have more descriptors than select accepts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 4096), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_server_invokes_functions_while_it_has_a_thousand_connections_and_closes_them_with_the_clients(
    many_descriptors: None,
) -> None:
    port = free_port()
    with emulator("--port", str(port)) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(url), 60)
        with contextlib.ExitStack() as connections:
            for _ in range(1100):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connections.callback(connection.close)
                connection.request("GET", "/_ministack/health")
                connection.getresponse().read()
            function = create(url)
            assert function.call()["Payload"]["statusCode"] == 200
        eventually(lambda: len(psutil.Process(process.pid).net_connections()) < 20)
        process.terminate()
        process.communicate(timeout=30)


def test_server_keeps_its_state_if_requested(tmp_path: Path) -> None:
    arguments = ("--state", str(tmp_path / "state"))
    with local_aws(tmp_path / "log", *arguments) as url:
        before = stack(url)
    with local_aws(tmp_path / "log", *arguments) as url:
        after = look(url, before["api"])
    assert after == before["found"]


def test_server_keeps_no_state_by_default(tmp_path: Path) -> None:
    for _ in range(2):
        with local_aws(tmp_path / "log") as url:
            s3 = client(url, "s3")
            assert s3.list_buckets()["Buckets"] == []
            s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})


def stack(url: str) -> dict[str, Any]:
    """Create a resource of each kind that a restart could lose."""
    function = create(url)
    functions = function.api
    functions.update_function_code(FunctionName="it", ZipFile=zipped(SOURCE + "\n"), Publish=True)
    functions.delete_function(FunctionName="it", Qualifier="2")
    functions.update_function_code(FunctionName="it", ZipFile=zipped(SOURCE + "\n\n"), Publish=True)
    functions.create_alias(
        FunctionName="it",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"3": 0.5}},
    )
    functions.add_permission(
        FunctionName="it",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        Qualifier="live",
    )
    gateway = client(url, "apigatewayv2")
    api = gateway.create_api(Name="it", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function.arn}:live/invocations",
        PayloadFormatVersion="2.0",
    )["IntegrationId"]
    gateway.create_route(ApiId=api, RouteKey="GET /", Target=f"integrations/{integration}")
    deployment = gateway.create_deployment(ApiId=api)["DeploymentId"]
    gateway.create_stage(ApiId=api, StageName="live", DeploymentId=deployment)
    gateway.create_route(ApiId=api, RouteKey="GET /later", Target=f"integrations/{integration}")
    s3 = client(url, "s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="kept", Key="state", Body=b"kept")
    return {"api": api, "found": look(url, api)}


def look(url: str, api: str) -> dict[str, Any]:
    functions = client(url, "lambda")
    found = {
        "versions": [
            version["Version"] for version in functions.list_versions_by_function(FunctionName="it")["Versions"]
        ],
        "weights": functions.get_alias(FunctionName="it", Name="live")["RoutingConfig"],
        "policy": functions.get_policy(FunctionName="it", Qualifier="live")["Policy"],
        "state": client(url, "s3").get_object(Bucket="kept", Key="state")["Body"].read(),
        "answers": [get(f"{url}/_aws/execute-api/{api}/live{path}")[0] for path in ("/", "/later")],
    }
    assert found["answers"] == [200, 404]
    assert found["versions"] == ["$LATEST", "1", "3"]
    assert found["weights"] == {"AdditionalVersionWeights": {"3": 0.5}}
    return found
