"""A proxy in front of local AWS that stops at a request, so that tests can repeat the moment of an interruption.

It can also show each request to a test before it passes it on.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

# Headers that describe one connection: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
OF_ONE_CONNECTION = {"connection", "expect", "host", "keep-alive", "transfer-encoding"}


@dataclass
class Moment:
    """The moment of a request: ``call`` is called before AWS acts on it or, if ``answered``, before the client knows.

    ``number`` counts the requests that match ``pattern``, such as ``POST .*StartExecution``. If ``call`` returns False,
    the request or its response is lost.
    """

    call: Callable[[], bool]
    number: int = 1
    pattern: str = ""
    answered: bool = False
    reached: str = ""


@dataclass
class Proxy:
    """The port of the proxy, and the requests since the last call of ``begin``: method, and target or path."""

    port: int
    requests: list[str] = field(default_factory=list)
    moment: Moment | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, moment: Moment | None = None) -> None:
        """Count from 0, up to the moment."""
        with self.lock:
            self.requests, self.moment = [], moment

    def arrived(self, request: str) -> Moment | None:
        """Count a request, and return the moment if this is its request."""
        with self.lock:
            self.requests.append(request)
            moment = self.moment
            if moment is None or moment.reached or not re.search(moment.pattern, request):
                return None
            moment.number -= 1
            if moment.number:
                return None
            moment.reached = request
            return moment


# Gets the method, the target, the headers, and the body of a request.
Observer = Callable[[str, str, Mapping[str, str], bytes], None]


@contextlib.contextmanager
def running(port: int, behind: int, observe: Observer = lambda *request: None) -> Iterator[Proxy]:
    """Run a proxy on a port of 127.0.0.1, in front of another port. ``observe`` gets each request."""
    proxy = Proxy(port)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def finish(self) -> None:
            # A command that is killed closes its connections in the middle of a request.
            with contextlib.suppress(ConnectionError):
                super().finish()

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            observe(self.command, self.path, dict(self.headers), body)
            moment = proxy.arrived(f"{self.command} {self.headers.get('X-Amz-Target') or self.path}")
            if moment and not moment.answered and not moment.call():
                self.close_connection = True
                return
            status, headers, content = self.exchange(body)
            if moment and moment.answered and not moment.call():
                self.close_connection = True
                return
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in OF_ONE_CONNECTION:
                    self.send_header(name, value)
            # On connections that they use again, clients lose a response now and then, and repeat its request.
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def exchange(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            # Local AWS accepts only requests to its own port.
            headers = {"Host": f"127.0.0.1:{behind}"}
            headers |= {name: value for name, value in self.headers.items() if name.lower() not in OF_ONE_CONNECTION}
            # Local AWS closes an idle connection, and could do that at the moment of a request.
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", behind, timeout=120)) as upstream:
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                content, found = answer.read(), answer.getheaders()
            if self.command != "HEAD" and answer.getheader("Content-Length") is None:
                found.append(("Content-Length", str(len(content))))
            return answer.status, found, content

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
            pass

        do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = forward  # noqa: N815 - names of the base class

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
