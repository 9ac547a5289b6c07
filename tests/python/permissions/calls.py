"""The calls that a proxy in front of local AWS sees, each with its operation and input by botocore's models."""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.loaders import Loader
from botocore.model import ServiceModel, StructureShape
from botocore.parsers import RpcV2CBORParser

# botocore's name of a service, by the name in the scope of a signature.
SERVICES = {
    "apigateway": "apigatewayv2",
    "events": "events",
    "iam": "iam",
    "kms": "kms",
    "lambda": "lambda",
    "logs": "logs",
    "monitoring": "cloudwatch",
    "s3": "s3",
    "sns": "sns",
    "ssm": "ssm",
    "states": "stepfunctions",
    "sts": "sts",
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
SIGNATURE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/[^/]+/(?P<service>[^/]+)/aws4_request")
# The operations on objects and buckets that Terraform's backend uses, by method and whether there is a key.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
S3_OPERATIONS = {
    ("DELETE", True): "DeleteObject",
    ("GET", False): "ListObjectsV2",
    ("GET", True): "GetObject",
    ("HEAD", False): "HeadBucket",
    ("HEAD", True): "HeadObject",
    ("PUT", True): "PutObject",
}


@dataclass(frozen=True)
class Call:
    """A call: the service, the operation, its input, and the method and path of API Gateway's actions."""

    service: str
    operation: str
    input: Mapping[str, Any]
    method: str
    path: str


def key(headers: Mapping[str, str]) -> str | None:
    """Return the access key that has signed a request, if it is signed."""
    signature = SIGNATURE.search(headers.get("Authorization", ""))
    return signature and signature["key"]


def read(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
    """Return the call of a signed request."""
    headers = {name.lower(): value for name, value in headers.items()}
    signature = SIGNATURE.search(headers["authorization"])
    assert signature
    service = SERVICES[signature["service"]]
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    if service == "s3":
        operation, given = _s3(method, url.path, query)
    elif "x-amz-target" in headers:
        operation, given = headers["x-amz-target"].rpartition(".")[2], json.loads(body or b"{}")
    elif "cbor" in headers.get("smithy-protocol", ""):
        operation = url.path.rpartition("/")[2]
        given = RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))
    elif "x-www-form-urlencoded" in headers.get("content-type", ""):
        given = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        operation = given["Action"]
    else:
        operation, given = _rest(service, method, url.path, query, body)
    assert operation in _model(service).operation_names, f"{service} has no operation {operation}"
    return Call(service, operation, given, method, url.path)


@functools.cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def _s3(method: str, path: str, query: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    assert query.keys() <= {"encoding-type", "list-type", "max-keys", "prefix", "x-id"}, (
        f"{method} {path}: {sorted(query)}"
    )
    return S3_OPERATIONS[method, bool(key)], {"Bucket": bucket, "Key": key}


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Return the method, the path, and the name of each operation, those with the most literal paths first."""
    found = []
    for name in _model(service).operation_names:
        http = _model(service).operation_model(name).http
        # An ARN in a path is encoded.
        path = re.sub(r"\{([\w-]+)\}", lambda part: f"(?P<{part[1].replace('-', '_')}>[^/]+)", http["requestUri"])
        found.append((http["method"], re.compile(path.rstrip("/") + "/?"), name))
    return sorted(found, key=lambda route: len(route[1].groupindex))


def _rest(service: str, method: str, path: str, query: Mapping[str, str], body: bytes) -> tuple[str, dict[str, Any]]:
    for verb, pattern, name in _routes(service):
        if verb == method and (match := pattern.fullmatch(path)):
            shape = _model(service).operation_model(name).input_shape
            members = shape.members if isinstance(shape, StructureShape) else {}
            named = {member.serialization.get("name", key).replace("-", "_"): key for key, member in members.items()}
            given = {named.get(key, key): unquote(value) for key, value in {**query, **match.groupdict()}.items()}
            content = json.loads(body) if body else {}
            return name, given | {named.get(key, key): value for key, value in content.items()}
    raise AssertionError(f"{service} has no operation for {method} {path}")
