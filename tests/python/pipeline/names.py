"""The names of API Gateway on AWS, as the commands resolve them in a rehearsal: local AWS answers by HTTPS.

Commands on AWS use the URLs that AWS gives to stages. In a rehearsal, a module that Python imports at its start
resolves their names to this machine, where a server with a certificate of its own passes the requests on to local AWS.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

DOMAIN = ".execute-api.eu-west-2.amazonaws.com"
RESOLVE = """
import _socket, os

_resolve = _socket.getaddrinfo

def getaddrinfo(host, port, *arguments, **named):
    name = host.decode() if isinstance(host, bytes) else host
    if name and name.endswith({domain!r}):
        host, port = "127.0.0.1", {port}
    return _resolve(host, port, *arguments, **named)

_socket.getaddrinfo = getaddrinfo
"""


def _certificate(directory: Path) -> Path:
    path = directory / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=rehearsal"),
            *("-addext", f"subjectAltName=DNS:*{DOMAIN}", "-keyout", directory / "key.pem", "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    return path


@contextlib.contextmanager
def resolved(directory: Path, behind: int) -> Iterator[dict[str, str]]:
    """Yield the variables with which Python reaches the stages of local AWS, on port ``behind``, by AWS's names."""
    certificate = _certificate(directory)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                super().handle()

        def forward(self) -> None:
            api = self.headers["Host"].partition(".")[0]
            connection = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
            connection.request(
                self.command,
                f"/_aws/execute-api/{api}{self.path}",
                self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                {"User-Agent": self.headers.get("User-Agent", "")},
            )
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"connection", "content-length", "date", "server", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
            pass

        do_DELETE = do_GET = do_HEAD = do_POST = forward  # noqa: N815 - names of the base class

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that closes its connection is no error."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, directory / "key.pem")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        start = directory / "start"
        start.mkdir()
        (start / "sitecustomize.py").write_text(RESOLVE.format(domain=DOMAIN, port=server.server_port))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield {"PYTHONPATH": str(start), "SSL_CERT_FILE": str(certificate)}
        finally:
            server.shutdown()
            thread.join()
