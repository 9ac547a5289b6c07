"""Web pages can send requests only to the stages of APIs on local AWS."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any, BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emulator import fence
from emulator.asgi import Message, Scope
from tests.python.emulator.contract.support import Answer
from tests.python.emulator.fenced import Local, function

EVIL = "https://evil.example"
PAGE = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Content-Type": "text/plain"}
PREFLIGHT = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Access-Control-Request-Method": "POST"}
PORT = 4566


def cors(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers if name.lower().startswith("access-control-")}


HOSTILE = {
    "create a function": ("POST", "/2015-03-31/functions", function("evil")),
    "invoke a function": ("POST", "/2015-03-31/functions/it/invocations", b"{}"),
    "list functions": ("GET", "/2015-03-31/functions", b""),
    "create a queue with a link": ("GET", "/?Action=CreateQueue&QueueName=evil&Version=2012-11-05", b""),
    "create a topic with a form": ("POST", "/", b"Action=CreateTopic&Name=evil&Version=2010-03-31"),
    "create an API": ("POST", "/v2/apis", b'{"name": "evil", "protocolType": "HTTP"}'),
    "create a REST API": ("POST", "/restapis", b'{"name": "evil"}'),
    "create a bucket": ("PUT", "/evil", b""),
    "write an object": ("PUT", "/bucket/evil", b"evil"),
    "read an object": ("GET", "/bucket/key", b""),
    "delete an object": ("DELETE", "/bucket/key", b""),
    "reset": ("POST", "/_ministack/reset", b""),
    "configure": ("POST", "/_ministack/config", b'{"stepfunctions._SFN_WAIT_SCALE": 9}'),
    "health": ("GET", "/_ministack/health", b""),
    "LocalStack's health": ("GET", "/_localstack/health", b""),
    "credentials": ("POST", "/_ministack/rds/iam-auth", b"{}"),
    "the code of a function": ("GET", "/_ministack/lambda-code/it", b""),
    "function URL": ("GET", "/_aws/lambda-url/{function_url}/", b""),
    "connections": ("POST", "/_aws/execute-api/{socket}/dev/@connections/1", b"evil"),
    "encoded connections": ("POST", "/_aws/execute-api/{socket}/dev%2F%40connections%2F1", b"evil"),
    "connections of REST's form": ("POST", "/restapis/{socket}/dev/_user_request_/@connections/1", b"evil"),
    "preflight": ("OPTIONS", "/2015-03-31/functions", b""),
    "preflight of S3": ("OPTIONS", "/bucket/key", b""),
    "preflight of a function URL": ("OPTIONS", "/_aws/lambda-url/{function_url}/", b""),
    "an API that does not exist": ("GET", "/_aws/execute-api/00000000/dev/", b""),
    "a stage that does not exist": ("GET", "/_aws/execute-api/{named}/prod/", b""),
    "a stage without a name": ("GET", "/_aws/execute-api/{named}", b""),
    "the stages of a REST API": ("GET", "/restapis/{named}/stages/_user_request_/", b""),
    "climbing out of a stage": ("POST", "/_aws/execute-api/../../2015-03-31/functions", function("evil")),
    "climbing out, encoded": ("POST", "/_aws/execute-api/..%2F..%2F2015-03-31/functions", function("evil")),
    "two slashes": ("POST", "//_aws/execute-api/{named}/dev/", b""),
    "an absolute URL": ("POST", "http://localhost:PORT/2015-03-31/functions", function("evil")),
    "an absolute URL of a stage": ("POST", "http://{named}.execute-api.localhost:PORT/_ministack/reset", b""),
}


@pytest.mark.parametrize("request_", HOSTILE.values(), ids=HOSTILE)
def test_pages_reach_only_stages(local: Local, request_: tuple[str, str, bytes]) -> None:
    method, path, body = request_
    before = local.state()
    answer = local.send(method, path, PREFLIGHT if method == "OPTIONS" else PAGE, body)
    assert answer.status == 403
    assert answer.body.startswith(b"Local AWS does not accept requests from web pages of other origins")
    assert cors(answer) == {}
    assert local.state() == before


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("GET", "bucket.localhost:PORT", "/key"),
        ("PUT", "bucket.localhost:PORT", "/evil"),
        # Local AWS does not let pages call the stages behind custom domains: a domain could be any local name.
        ("GET", "api.it.localhost:PORT", "/hello"),
        ("GET", "bucket.localhost:PORT", "/{root}.execute-api.localhost"),
        ("GET", "{function_url}.lambda-url.eu-west-2.localhost:PORT", "/"),
        ("GET", "{root}.lambda-url.localhost:PORT", "/"),
        ("POST", "{socket}.execute-api.localhost:PORT", "/dev/@connections/1"),
        ("POST", "{root}.execute-api.localhost:PORT", "/@connections/1"),
        ("POST", "{root}.execute-api.localhost:PORT", "/_ministack/reset"),
        ("POST", "{root}.execute-api.localhost:PORT", "/_ministack/config"),
        ("POST", "{root}.execute-api.localhost:PORT", "/_ministack/rds/iam-auth"),
        ("POST", "{root}.execute-api.localhost:PORT", "/%5Fministack/reset"),
        ("POST", "{root}.execute-api.localhost:PORT", "http://{root}.execute-api.localhost:PORT/_ministack/reset"),
        ("GET", "{root}.EXECUTE-API.localhost:PORT", "/"),
        ("GET", "evil.{root}.execute-api.localhost:PORT", "/"),
        ("GET", "{named}.execute-api.localhost:PORT", "/prod/"),
        ("GET", "00000000.execute-api.localhost:PORT", "/dev/"),
    ],
)
def test_pages_reach_only_stages_by_host(local: Local, method: str, host: str, path: str) -> None:
    before = local.state()
    answer = local.send(method, path, PAGE, host=host)
    assert answer.status == 403
    assert answer.body.startswith(b"Local AWS does not accept requests from web pages")
    assert local.state() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:PORT"},
        {"Origin": "http://bucket.localhost:PORT"},
        {"Origin": "https://localhost:PORT"},
        {"Origin": "HTTP://localhost:PORT"},
        {"Origin": "http://localhost:PORT/"},
        {"Origin": "http://localhost:PORT@evil.example"},
        {"Origin": "http://evil.example/http://localhost:PORT"},
        {"Origin": "http://localhost.evil.example:PORT"},
        {"Origin": "http://evillocalhost:PORT"},
        {"origin": EVIL},
        {"ORIGIN": EVIL},
        [("Origin", "http://localhost:PORT"), ("Origin", EVIL)],
        [("Origin", "http://localhost:PORT"), ("Origin", "http://localhost:PORT")],
        [("Origin", "http://localhost:PORT, http://localhost:PORT")],
        [("Origin", b"http://localhost\xff:PORT")],
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "None"},
        {"SEC-FETCH-SITE": "cross-site"},
        {"Origin": "http://localhost:PORT", "Sec-Fetch-Site": "cross-site"},
        {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"},
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
    ],
    ids=repr,
)
def test_pages_of_other_origins_are_refused(local: Local, headers: Any) -> None:
    assert local.send("GET", "/_ministack/health", headers).status == 403


@pytest.mark.parametrize("host", ["localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT", "bucket.localhost:PORT"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://HOST"},
        {"Origin": "http://HOST", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
    ids=repr,
)
def test_tools_and_pages_of_local_aws_are_accepted(local: Local, headers: dict[str, str], host: str) -> None:
    sent = {name: value.replace("HOST", host) for name, value in headers.items()}
    assert local.send("GET", "/_ministack/health", sent, host=host).status == 200


def test_origin_has_the_host_in_lowercase(local: Local) -> None:
    sent = {"Origin": "http://localhost:PORT"}
    assert local.send("GET", "/_ministack/health", sent, host="LocalHost:PORT").status == 200


HOSTS = [
    "localhost:PORT",
    "LocalHost:PORT",
    "127.0.0.1:PORT",
    "[::1]:PORT",
    "bucket.localhost:PORT",
    "my.bucket-1.s3.eu-west-2.localhost:PORT",
    "BUCKET_1.LOCALHOST:PORT",
]
OTHER_HOSTS: list[str | bytes] = [
    "",
    "localhost",
    "localhost:",
    "localhost:80",
    "localhost:1PORT",
    "localhost:0PORT",
    "localhost:+PORT",
    "localhost:PORT0",
    "localhost:PORT:PORT",
    "localhost.:PORT",
    "localhost..:PORT",
    ".localhost:PORT",
    "a..localhost:PORT",
    "-.localhost:PORT",
    "a.localhost.:PORT",
    "evillocalhost:PORT",
    "localhost.evil.example:PORT",
    "evil.example:PORT",
    "127.0.0.1.evil:PORT",
    "127.0.0.1.localhost.evil:PORT",
    "127.0.0.2:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "0.0.0.0:PORT",
    "::1:PORT",
    "[::]:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::1%25lo]:PORT",
    "[localhost]:PORT",
    "localhost:PORT@evil",
    "evil@localhost:PORT",
    "localhost:PORT/",
    "localhost:PORT#",
    "localhost:PORT, localhost:PORT",
    "localhost :PORT",
    "evil.example localhost:PORT",
    "http://localhost:PORT",
    "%6cocalhost:PORT",
    "local\x00host:PORT",
    "localho\u017ft:PORT".encode(),
    b"localhost\xff:4566",
    b"localhost:\xd9\xa4\xd9\xa5\xd9\xa6\xd9\xa6",
    f"{'a' * 64}.localhost:PORT",
    f"{'a.' * 130}localhost:PORT",
    f"{'a' * 8000}.localhost:PORT",
]


@pytest.mark.parametrize("host", HOSTS)
def test_names_of_this_machine_are_accepted_as_host(local: Local, host: str) -> None:
    assert local.send("GET", "/_ministack/health", host=host).status == 200


@pytest.mark.parametrize("path", ["/_ministack/health", "/_aws/execute-api/{named}/dev/"])
@pytest.mark.parametrize("host", OTHER_HOSTS, ids=lambda host: repr(host)[:40])
def test_other_hosts_are_refused_for_stages_too(local: Local, host: str | bytes, path: str) -> None:
    before = local.ran
    answer = local.send("GET", path, host=host)
    # The HTTP server itself refuses what is no header at all.
    assert answer.status in {400, 403}
    if answer.status == 403:
        assert f"only accepts requests to localhost:{local.port}, 127.0.0.1:{local.port}".encode() in answer.body
    assert local.ran == before


@pytest.mark.parametrize(
    "request_",
    [
        "GET /_ministack/health HTTP/1.0\n\n",
        "GET /_ministack/health HTTP/1.0\nHost:\n\n",
        "GET /_ministack/health HTTP/1.1\n\n",
        "GET /_ministack/health HTTP/1.1\nHost: localhost:PORT\nHost: localhost:PORT\n\n",
        "GET /_ministack/health HTTP/1.1\nHost: localhost:PORT\nHOST: evil.example:PORT\n\n",
        "GET /_ministack/health HTTP/1.1\nHost: localhost:PORT\n evil.example\n\n",
        "GET /_ministack/health HTTP/1.1\nX-Forwarded-Host: localhost:PORT\nHost: evil.example\n\n",
    ],
)
def test_request_without_exactly_one_host_is_refused(local: Local, request_: str) -> None:
    assert re.match(r"HTTP/1.1 40[03] ", local.raw(request_))


def test_http_2_is_refused(local: Local) -> None:
    assert re.match(r"HTTP/1.1 40[03] ", local.raw("PRI * HTTP/2.0\n\nSM\n\n"))


@pytest.mark.parametrize(("host", "status"), [("localhost:PORT", 200), ("evil.example:PORT", 403)])
def test_upgrade_to_http_2_is_ignored(local: Local, host: str, status: int) -> None:
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}
    assert local.send("GET", "/_ministack/health", headers, host=host).status == status


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("localhost:PORT", "/_aws/execute-api/{named}/dev/hello"),
        ("localhost:PORT", "/_aws/execute-api/{root}/hello"),
        ("127.0.0.1:PORT", "/restapis/{named}/dev/_user_request_/hello"),
        ("{named}.execute-api.localhost:PORT", "/dev/hello"),
        ("{root}.execute-api.localhost:PORT", "/hello"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_any_origin_reach_stages(local: Local, method: str, host: str, path: str) -> None:
    answer = local.send(method, path, PAGE, b"{}" if method == "POST" else b"", host)
    assert answer.status == 200
    assert answer.json["path"].endswith("/hello")
    assert cors(answer) == {}


def test_page_may_read_answers_that_the_function_allows(local: Local) -> None:
    answer = local.send("GET", "/_aws/execute-api/{named}/dev/?own", PAGE)
    assert cors(answer) == {"access-control-allow-origin": "https://app.example"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/_localstack/health"),
        ("GET", "/logout"),
        ("GET", "/oauth2/authorize"),
        ("GET", "/oauth2/userInfo"),
        ("POST", "/oauth2/token"),
        ("POST", "/login"),
        ("GET", "/pool/.well-known/jwks.json"),
        ("GET", "/iceberg/v1/config"),
        ("GET", "/v20180820/tags/bucket"),
        ("POST", "/Execute"),
        ("POST", "/v2/email/outbound-emails"),
        ("GET", "/v2/_catalog"),
        ("POST", "/WriteGetObjectResponse"),
        ("GET", "/_alb/it/"),
        ("GET", "/_aws/lambda-url/{function_url}/"),
        ("GET", "/_aws/execute-api/{named}/dev/"),
        ("PUT", "/2015-03-31/functions/it/invocations"),
    ],
)
def test_stage_answers_on_every_path(local: Local, method: str, path: str) -> None:
    answer = local.send(method, path, PAGE | {"X-Amz-Request-Route": "it"}, host="{root}.execute-api.localhost:PORT")
    assert answer.status == 200
    assert answer.json == {"path": local.filled(path)}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/bucket/key"),
        ("GET", "/2015-03-31/functions"),
        ("GET", "/_ministack/health"),
        ("OPTIONS", "/2015-03-31/functions"),
        ("OPTIONS", "/bucket/key"),
        ("GET", "/_aws/lambda-url/{function_url}/?own"),
        ("GET", "/_aws/execute-api/00000000/dev/"),
        ("GET", "/oauth2/userInfo"),
        ("GET", "/v2/"),
    ],
)
def test_other_answers_have_no_cors_headers(local: Local, method: str, path: str) -> None:
    answer = local.send(method, path)
    assert answer.status != 403
    assert cors(answer) == {}


def test_buckets_answer_by_host_name(local: Local) -> None:
    assert local.send("PUT", "/by-name", body=b"1", host="bucket.localhost:PORT").status == 200
    s3 = local.client("s3")
    assert s3.get_object(Bucket="bucket", Key="by-name")["Body"].read() == b"1"
    assert local.send("GET", "/key", host="bucket.localhost:PORT").body == b"secret"


def test_function_urls_answer(local: Local) -> None:
    by_path = local.send("GET", "/_aws/lambda-url/{function_url}/hello")
    by_host = local.send("GET", "/hello", host="{function_url}.lambda-url.eu-west-2.localhost:PORT")
    assert [answer.json for answer in (by_path, by_host)] == [{"path": "/hello"}] * 2


@pytest.mark.parametrize(
    ("host", "path", "more", "status"),
    [
        ("localhost:PORT", "/_aws/execute-api/{socket}/dev", f"Origin: {EVIL}\n", 101),
        ("{socket}.execute-api.localhost:PORT", "/dev", f"Origin: {EVIL}\nSec-Fetch-Site: cross-site\n", 101),
        ("localhost:PORT", "/_aws/execute-api/{socket}/dev", "", 101),
        ("evil.example:PORT", "/_aws/execute-api/{socket}/dev", "", 403),
        ("localhost:PORT", "/_aws/execute-api/{socket}/prod", f"Origin: {EVIL}\n", 403),
        ("localhost:PORT", "/_aws/execute-api/{socket}/dev/@connections/1", f"Origin: {EVIL}\n", 403),
        ("x.appsync-realtime-api.localhost:PORT", "/event/realtime", f"Origin: {EVIL}\n", 403),
        ("iot.eu-west-2.localhost:PORT", "/mqtt", f"Origin: {EVIL}\nSec-WebSocket-Protocol: mqtt\n", 403),
        (
            "iot.eu-west-2.localhost:PORT",
            "/mqtt",
            "Origin: http://bucket.localhost:PORT\nSec-WebSocket-Protocol: mqtt\n",
            403,
        ),
        ("iot.eu-west-2.localhost:PORT", "/mqtt", "Sec-WebSocket-Protocol: mqtt\n", 101),
    ],
)
def test_websockets_are_checked(local: Local, host: str, path: str, more: str, status: int) -> None:
    head = f"GET {path} HTTP/1.1\nHost: {host}\nConnection: Upgrade\nUpgrade: websocket\n"
    answer = local.raw(f"{head}Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n{more}\n")
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert ("Local AWS" in answer) == (status == 403)
    assert "access-control-" not in answer.lower()


def scope(kind: str = "http", headers: list[tuple[bytes, bytes]] | None = None, **more: Any) -> Scope:
    return {"type": kind, "path": "/", "headers": headers or [], **more}


def sent(given: Scope, *answers: Message, stage: bool = False) -> tuple[list[Message], bool]:
    """Return the messages of an application behind the fence, and whether it was called."""
    messages: list[Message] = []
    called = []

    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        called.append(True)
        for answer in answers:
            await send(answer)

    async def receive() -> Message:
        raise AssertionError("the fence reads nothing")

    async def send(message: Message) -> None:
        messages.append(message)

    async def run() -> None:
        await fence.around(app, PORT, lambda host, path: stage)(given, receive, send)

    asyncio.run(run())
    return messages, bool(called)


@pytest.mark.parametrize("stage", [True, False])
@pytest.mark.parametrize("host", OTHER_HOSTS, ids=lambda host: repr(host)[:40])
def test_other_hosts_are_refused_before_the_application_is_called(host: str | bytes, *, stage: bool) -> None:
    value = host.replace("PORT", str(PORT)).encode() if isinstance(host, str) else host
    messages, called = sent(scope(headers=[(b"host", value)]), stage=stage)
    assert (messages[0]["status"], called) == (403, False)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"localhost:4566"), (b"host", b"localhost:4566")],
        [(b"host", b"localhost:4566"), (b"Host", b"evil")],
        [(b"x-host", b"localhost:4566")],
        [(b"host", b" localhost:4566")],
        [(b"host", b"localhost:4566\n")],
        [(b"host", b"localhost\n:4566")],
    ],
)
def test_only_one_host_is_accepted(headers: list[tuple[bytes, bytes]]) -> None:
    assert not sent(scope(headers=headers))[1]
    assert not sent(scope(headers=headers), stage=True)[1]


def test_refusal_has_the_reason_and_a_remedy() -> None:
    messages, _ = sent(scope(headers=[(b"host", b"evil")]))
    start, body = messages
    assert (start["type"], start["status"], body["type"]) == ("http.response.start", 403, "http.response.body")
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])
    assert body["body"] == (
        b"Local AWS only accepts requests to localhost:4566, 127.0.0.1:4566, [::1]:4566, "
        b"and names that end in .localhost:4566. Use one of these in the URL.\n"
    )


def test_lifespan_messages_pass() -> None:
    messages, called = sent(scope("lifespan"), {"type": "lifespan.startup.complete"})
    assert (messages, called) == ([{"type": "lifespan.startup.complete"}], True)


def test_websocket_is_refused_before_it_is_accepted() -> None:
    headers = [(b"host", b"localhost:4566"), (b"origin", b"null")]
    messages, called = sent(scope("websocket", headers, extensions={"websocket.http.response": {}}))
    assert not called
    assert [message["type"] for message in messages] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert messages[0]["status"] == 403
    assert sent(scope("websocket", headers)) == ([{"type": "websocket.close", "code": 1008}], False)


@pytest.mark.parametrize("kind", ["http.response.start", "websocket.accept", "websocket.http.response.start"])
@pytest.mark.parametrize("stage", [True, False])
def test_cors_headers_are_removed_except_from_answers_of_stages(kind: str, *, stage: bool) -> None:
    headers = [(b"Access-Control-Allow-Origin", b"*"), (b"access-control-max-age", b"1"), (b"vary", b"Origin")]
    messages, _ = sent(scope(headers=[(b"host", b"localhost:4566")]), {"type": kind, "headers": headers}, stage=stage)
    assert messages[0]["headers"] == (headers if stage else [(b"vary", b"Origin")])


def local_by_hand(authority: bytes, port: int) -> bool:
    """Return the result of ``is_local`` without a regular expression."""
    text = authority.decode("latin-1")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
    name, separator, end = text.rpartition(":")
    if end == "1]" or not separator:
        name, end = text, "80"
    if end != str(port) or len(text) > 259:
        return False
    *labels, last = name.split(".")
    return name in {"127.0.0.1", "[::1]"} or (
        set(last) <= set(letters)
        and last.lower() == "localhost"
        and all(
            0 < len(label) < 64
            and set(label) <= {*letters, "-"}
            and not label.startswith("-")
            and not label.endswith("-")
            for label in labels
        )
    )


NAMES = st.sampled_from([b"localhost", b"LOCALHOST", b"127.0.0.1", b"[::1]", b"a.localhost", b"evil.example", b""])
ENDS = st.sampled_from([b":4566", b":80", b"", b":04566", b":4566:4566", b":", b".:4566"])
PIECES = st.binary(max_size=3) | st.sampled_from([b".", b"-", b"a", b"@", b":4566", b"localhost", b"\n", b"_", b"A1"])


@given(st.tuples(PIECES, NAMES, PIECES, ENDS, PIECES).map(b"".join), st.sampled_from([80, 4566]))
@example(b"localhost:4566", 4566)
@example(b"localhost", 80)
@example(b"[::1]", 80)
def test_hosts_are_parsed_exactly(authority: bytes, port: int) -> None:
    assert fence.is_local(authority, port) == local_by_hand(authority, port)


@given(st.from_regex(r"\A([a-z0-9]{1,20}\.){0,5}localhost\Z"), st.integers(1, 65535), st.integers(1, 65535))
def test_names_below_localhost_are_local_only_on_the_port(name: str, port: int, other: int) -> None:
    assert fence.is_local(f"{name}:{port}".encode(), port)
    assert fence.is_local(f"{name}:{other}".encode(), port) == (port == other)
    assert fence.is_local(name.encode(), port) == (port == 80)


def test_port_80_may_be_omitted() -> None:
    for name in (b"localhost", b"127.0.0.1", b"[::1]", b"a.localhost"):
        assert fence.is_local(name, 80)
        assert fence.is_local(name + b":80", 80)
        assert not fence.is_local(name, 4566)


def status(stream: BinaryIO) -> int:
    """Read a response from a connection, and return its status."""
    found = int(stream.readline().split()[1])
    headers = dict(line.lower().split(b": ") for line in iter(lambda: stream.readline().strip(), b""))
    stream.read(int(headers.get(b"content-length", 0)))
    return found


def test_connection_survives_the_refusal_of_a_body_that_the_client_has_not_sent(local: Local) -> None:
    """An SDK waits for ``100 Continue`` before it sends a large body, and does not send it after a refusal."""
    refused = (
        f"PUT /bucket/evil HTTP/1.1\nHost: localhost:PORT\nOrigin: {EVIL}\nExpect: 100-continue\nContent-Length: 4\n\n"
    )
    following = "GET /_ministack/health HTTP/1.1\nHost: localhost:PORT\n\n"
    with (
        socket.create_connection(("127.0.0.1", local.port), timeout=30) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(local.filled(refused).replace("\n", "\r\n").encode())
        assert status(stream) == 100
        connection.sendall(b"evil" + local.filled(following).replace("\n", "\r\n").encode())
        assert [status(stream), status(stream)] == [403, 200]


def test_trailers_are_no_headers(local: Local) -> None:
    head = "POST /_aws/execute-api/{named}/dev/x HTTP/1.1\nHost: localhost:PORT\nTransfer-Encoding: chunked\n\n"
    with socket.create_connection(("127.0.0.1", local.port), timeout=30) as connection:
        connection.sendall(local.filled(f"{head}0\nHost: evil.example\n\n").replace("\n", "\r\n").encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_spaces_around_a_header_are_not_a_part_of_it(local: Local) -> None:
    assert local.send("GET", "/_ministack/health", host="localhost:PORT ").status == 200
