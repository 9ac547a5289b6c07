"""In a web browser, pages of other origins can send requests to the stages of APIs on local AWS, and nothing else."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.python.emulator.fenced import Local, function
from tests.waiting import eventually

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCRIPT = (Path(__file__).parent / "web_page.js").read_text()
# A name that belongs to someone else, and that first leads to their page, and then to local AWS.
REBOUND = "evil.example"
ONLY_LOOPBACK = "EXCLUDE 127.0.0.1, EXCLUDE *localhost, MAP * ~NOTFOUND"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
REFUSAL = "Local AWS only accepts requests to "
# The smallest image: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
IMAGE = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="needs chromium; test_fence.py sends the same without a browser"
)


@dataclass(frozen=True)
class Sent:
    """A request of a page: the way that the page sends it, see ``web_page.js``, and its parts."""

    way: str
    url: str
    method: str = "GET"
    type: str = ""
    body: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()

    @property
    def content(self) -> bytes:
        """The body as browsers encode it.

        https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#form-submission-algorithm
        """
        if self.type == MULTIPART:
            head = 'Content-Disposition: form-data; name="{}"'
            parts = [f"--b\r\n{head.format(name)}\r\n\r\n{value}\r\n" for name, value in self.fields.items()]
            return "".join([*parts, "--b--\r\n"]).encode()
        if self.type == "text/plain" and self.fields:
            return "".join(f"{name}={value}\r\n" for name, value in self.fields.items()).encode()
        return (self.body or urllib.parse.urlencode(self.fields)).encode()


def query(action: str, **parameters: str) -> str:
    return urllib.parse.urlencode({"Action": action, "Version": "2012-11-05", **parameters})


# Each of them changes local AWS if it is accepted. The last one removes everything.
CHANGES = [
    Sent("opaque", "/2015-03-31/functions", "POST", "text/plain", function("evil").decode()),
    Sent("opaque", "/2015-03-31/functions/it/invocations", "POST", "text/plain", "{}"),
    Sent("opaque", "/", "POST", FORM, query("CreateQueue", QueueName="evil-opaque")),
    Sent("fetch", "/v2/apis", "POST", "text/plain", '{"name": "evil", "protocolType": "HTTP"}'),
    Sent("fetch", "/evil", "PUT", "application/json", ""),
    Sent("form", "/", "POST", FORM, fields={"Action": "CreateTopic", "Name": "evil-form", "Version": "2010-03-31"}),
    Sent("form", "/v2/apis", "POST", "text/plain", fields={'{"name": "evil", "protocolType": "HTTP", "x": "': '"}'}),
    Sent("form", "/bucket", "POST", MULTIPART, fields={"key": "evil", "file": "evil"}),
    Sent("frame", f"/?{query('CreateQueue', QueueName='evil-frame')}"),
    Sent("image", f"/?{query('CreateQueue', QueueName='evil-image')}"),
    Sent("script", f"/?{query('CreateQueue', QueueName='evil-script')}"),
    Sent("fetch", "/bucket/key", "DELETE"),
    Sent("fetch", "/2015-03-31/functions/it", "DELETE"),
    Sent("opaque", "/_ministack/reset", "POST", "text/plain", ""),
]
READS = [
    Sent("fetch", "/2015-03-31/functions"),
    Sent("fetch", "/bucket/key"),
    Sent("fetch", "/_ministack/health"),
    Sent("frame", "/bucket/script"),
    Sent("image", "/bucket/image"),
    Sent("script", "/bucket/script"),
    Sent("socket", "http://iot.eu-west-2.localhost:PORT/mqtt", protocols=("mqtt",)),
]
# The API ``root`` allows the page of another origin to read answers, and ``named`` does not. With each request: what
# the page reads, and how often the function runs. API Gateway answers preflight requests itself:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
ALLOWED = "http://127.0.0.1:PORT/_aws/execute-api/{root}/hello"
OTHER = "http://localhost:PORT/_aws/execute-api/{named}/dev/hello"
STAGES: list[tuple[Sent, str | None, int]] = [
    (Sent("fetch", ALLOWED), '200 {"path": "/hello"}', 1),
    (Sent("fetch", "http://{root}.execute-api.localhost:PORT/hello"), '200 {"path": "/hello"}', 1),
    (Sent("fetch", ALLOWED, "PUT", "application/json", "{}"), '200 {"path": "/hello"}', 1),
    (Sent("fetch", OTHER), None, 1),
    (Sent("fetch", OTHER, "PUT", "application/json", "{}"), None, 0),
    (Sent("opaque", OTHER, "POST", "text/plain", "{}"), None, 1),
    (Sent("form", OTHER, "POST", FORM, fields={"a": "b"}), None, 1),
    (Sent("frame", OTHER), None, 1),
    (Sent("socket", "http://127.0.0.1:PORT/_aws/execute-api/{socket}/dev"), "open", 0),
]


class Pages(http.server.ThreadingHTTPServer):
    """The server of hostile pages. It keeps what each of them reports."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PagesHandler)
        self.html: dict[str, bytes] = {}
        self.learned: dict[str, list[str | None]] = {}


class PagesHandler(http.server.BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        html = self.server.html.get(self.path)
        self._answer(404 if html is None else 200, html or b"")

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        path, _, target = self.path.partition("?")
        if path == "/moved":
            # The browser sends the same request to the target.
            self._answer(307, b"", Location=urllib.parse.unquote(target))
            return
        report = json.loads(content)
        self._answer(200, b"")
        self.server.learned[report["page"]] = report["learned"]

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Rebound(socketserver.ThreadingTCPServer):
    """The addresses of a name that changes them: the first request gets a page, and all others reach local AWS."""

    daemon_threads = True

    def __init__(self, pages: int, local: int) -> None:
        super().__init__(("127.0.0.1", 0), ReboundHandler)
        self.pages = pages
        self.local = local


class ReboundHandler(socketserver.BaseRequestHandler):
    server: Rebound

    def handle(self) -> None:
        # Browsers also open connections that they don't use.
        if not (first := self.request.recv(65536)):
            return
        port = self.server.pages if first.startswith(b"GET /rebound ") else self.server.local
        with socket.create_connection(("127.0.0.1", port)) as onward:
            onward.sendall(first)
            threading.Thread(target=copy, args=(self.request, onward), daemon=True).start()
            copy(onward, self.request)


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy what one end of a connection sends to the other, until either of them closes it."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Serve in the background, and yield the port."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(server.socket.getsockname()[1])
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def browsing(url: str, rules: str, directory: Path) -> Iterator[Path]:
    """Open a page in the browser, with rules for its names, and yield the file with the browser's messages.

    https://source.chromium.org/chromium/chromium/src/+/main:net/dns/mapped_host_resolver.h
    """
    settings = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"]
    settings += ["--disable-background-networking", "--disable-breakpad", f"--user-data-dir={directory / 'profile'}"]
    if os.geteuid() == 0:
        # Chromium's sandbox does not start as root.
        settings.append("--no-sandbox")
    log = directory / "browser.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(BROWSER), *settings, f"--host-resolver-rules={rules}", url],
            env=os.environ | {"HOME": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        processes.interrupt(process)


def html(page: str, report: str, requests: list[Sent], local: Local, *frames: str) -> bytes:
    """Return a page that sends the requests. Relative URLs are those of its own origin."""
    sent = [asdict(each) | {"url": local.filled(each.url)} for each in requests]
    plan = json.dumps({"page": page, "report": report, "requests": sent})
    inner = "".join(f'<iframe src="{url}"></iframe>' for url in frames)
    return f"<!doctype html><body>{inner}<script>const PLAN = {plan};\n{SCRIPT}</script>".encode()


def to(base: str, requests: list[Sent]) -> list[Sent]:
    return [replace(each, url=urllib.parse.urljoin(base, each.url)) for each in requests]


@dataclass(frozen=True)
class Visit:
    """What pages learned from their requests, and the state of local AWS before and after them."""

    learned: dict[str, list[tuple[Sent, str | None]]]
    before: dict[str, Any]
    after: dict[str, Any]


@pytest.fixture(scope="module")
def visit(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Visit a page of a bucket on local AWS, with a page of another origin and one of a rebound name in its frames."""
    aws, by_name = f"http://127.0.0.1:{local.port}", f"http://localhost:{local.port}"
    with contextlib.ExitStack() as stack:
        pages = Pages()
        outside = f"http://127.0.0.1:{stack.enter_context(serving(pages))}"
        rebound = stack.enter_context(serving(Rebound(pages.server_address[1], local.port)))
        moved = [replace(each, url=f"{outside}/moved?{aws}{each.url}") for each in CHANGES if each.way == "opaque"]
        everything = READS + CHANGES
        requests = {
            "bucket": [Sent("fetch", ALLOWED), *to(aws, everything)],
            "outside": [*(sent for sent, *_ in STAGES), *to(aws, everything), *to(by_name, everything), *moved],
            "rebound": [Sent("fetch", "/_aws/execute-api/{root}/hello"), *everything],
        }
        report = f"{outside}/report"
        for page in ("outside", "rebound"):
            pages.html[f"/{page}"] = html(page, report, requests[page], local)
        frames = [f"{outside}/outside", f"http://{REBOUND}:{local.port}/rebound"]
        start = html("bucket", report, requests["bucket"], local, *frames)
        objects = {
            "image": ("image/gif", IMAGE),
            "script": ("text/javascript", b"let secret;"),
            "page": ("text/html", start),
        }
        for key, (kind, body) in objects.items():
            local.client("s3").put_object(Bucket="bucket", Key=key, Body=body, ContentType=kind)
        local.client("apigatewayv2").update_api(
            ApiId=local.ids["root"],
            CorsConfiguration={"AllowOrigins": [outside], "AllowMethods": ["PUT"], "AllowHeaders": ["content-type"]},
        )
        before = local.state()
        rules = f"MAP {REBOUND}:{local.port} 127.0.0.1:{rebound}, {ONLY_LOOPBACK}"
        typed = f"http://bucket.localhost:{local.port}/page"
        log = stack.enter_context(browsing(typed, rules, tmp_path_factory.mktemp("browser")))
        eventually(
            lambda: set(requests) == set(pages.learned), 60, described=lambda: (set(pages.learned), log.read_text())
        )
        learned = {page: list(zip(sent, pages.learned[page], strict=True)) for page, sent in requests.items()}
        return Visit(learned, before, local.state())


def test_pages_change_nothing(visit: Visit) -> None:
    # The page of the bucket, too, sends one request that API Gateway passes on, and that the page may not read.
    runs = sum(runs for *_, runs in STAGES) + 1
    assert visit.after == visit.before | {"runs": visit.before["runs"] + "x" * runs}


@pytest.mark.parametrize("page", ["outside", "bucket"])
def test_pages_of_other_origins_read_nothing(visit: Visit, page: str) -> None:
    stages = [each for each, *_ in STAGES] if page == "outside" else []
    assert [(sent, text) for sent, text in visit.learned[page] if sent not in stages and text is not None] == []


def test_page_of_a_rebound_name_reads_only_refusals(visit: Visit) -> None:
    learned = visit.learned["rebound"]
    assert [(sent, text) for sent, text in learned if text is not None and REFUSAL not in text] == []
    unread = {sent.way for sent, text in learned if text is None}
    assert unread == {"image", "script", "socket"}


def test_pages_reach_stages_and_read_what_the_api_allows(visit: Visit) -> None:
    assert visit.learned["outside"][: len(STAGES)] == [(sent, text) for sent, text, _ in STAGES]


def test_changes_take_effect_if_a_tool_requests_them(visit: Visit, local: Local) -> None:
    for sent in CHANGES:
        before = local.state()
        kind = f"{sent.type}; boundary=b" if sent.type == MULTIPART else sent.type
        answer = local.send(sent.method, sent.url, {"Content-Type": kind} if kind else {}, sent.content)
        assert (answer.status < 300, local.state() != before) == (True, True), (sent, answer)
