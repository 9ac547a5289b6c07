"""The URLs of stages whose record in Terraform's state is lost, read from AWS."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pathtolive import discovery
from pathtolive.target import Target

Serve = Callable[[dict[str, tuple[int, Any]]], Target]
DOMAINS = "/v2/domainnames"
DENIED = 403, {"message": "User is not authorized to perform: apigateway:GET"}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Yield a function that serves the given answers by path, and returns the target."""
    servers: list[http.server.HTTPServer] = []

    def start(answers: dict[str, tuple[int, Any]]) -> Target:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content = answers[self.path]
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return Target(f"http://127.0.0.1:{server.server_port}", "eu-west-2")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def domain(name: str, service: str = "path-to-live") -> dict[str, Any]:
    return {"domainName": name, "tags": {"Service": service}}


def mapping(stage: str, path: str = "", api: str = "a1b2c3") -> dict[str, str]:
    return {"apiId": api, "apiMappingId": f"m-{stage}", "apiMappingKey": path, "stage": stage}


# https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/domainnames.html
# https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/domainnames-domainname-apimappings.html
def test_urls_are_those_of_the_domains_of_the_api(serve: Serve) -> None:
    target = serve(
        {
            DOMAINS: (200, {"items": [domain("api.example.com"), domain("shop.org", "shop")], "nextToken": "2"}),
            f"{DOMAINS}?nextToken=2": (200, {"items": [domain("example.com"), {"domainName": "untagged.org"}]}),
            # The roles can read only the mappings of their own domains.
            f"{DOMAINS}/shop.org/apimappings": DENIED,
            f"{DOMAINS}/untagged.org/apimappings": DENIED,
            f"{DOMAINS}/api.example.com/apimappings": (
                200,
                {"items": [mapping("dev", "dev/v1"), mapping("prod", "other", "z9")], "nextToken": "more"},
            ),
            f"{DOMAINS}/api.example.com/apimappings?nextToken=more": (200, {"items": [mapping("test", "test")]}),
            f"{DOMAINS}/example.com/apimappings": (200, {"items": [mapping("live")]}),
        }
    )
    assert discovery.urls(target, "path-to-live", "a1b2c3") == {
        "dev": "https://api.example.com/dev/v1/",
        "live": "https://example.com/",
        "test": "https://api.example.com/test/",
    }


def test_role_that_cannot_read_domains_knows_none(serve: Serve) -> None:
    assert discovery.urls(serve({DOMAINS: DENIED}), "path-to-live", "a1b2c3") == {}
