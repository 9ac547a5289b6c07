"""A server that responds as a stage does."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator


class Stage(http.server.ThreadingHTTPServer):
    """Responds to one request in five with status 500, and to one with text that contains no version.

    ``headers`` are those of the last request.
    """

    daemon_threads = True
    request_queue_size = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.turns = itertools.count(1)
        self.delay = 0.0
        self.missing: set[str] = set()
        self.connections = 0
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/live/"

    def process_request(self, *request: object) -> None:
        self.connections += 1
        super().process_request(*request)  # type: ignore[arg-type]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Stage
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        turn = next(self.server.turns)
        self.server.headers = {name.lower(): value for name, value in self.headers.items()}
        time.sleep(self.server.delay)
        version = {"function": {"version": "7"}} if self.path == "/live/build-info" else {}
        body = b"No build info available" if turn % 5 == 1 else json.dumps(version).encode()
        self.send_response(404 if self.path in self.server.missing else 500 if turn % 5 == 0 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serving() -> Iterator[Stage]:
    """Yield a server that responds."""
    with Stage() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
