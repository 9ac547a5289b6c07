"""Read requests and write responses in each of CloudWatch's three protocols, by the model that boto3 brings.

- AWS Query: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/making-api-requests.html
- AWS JSON 1.0: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
- Smithy RPC v2 CBOR: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

import datetime
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.model import (
    DenormalizedStructureBuilder,
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StructureShape,
)
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from ministack.services import cloudwatch

from emulator import models

Response = tuple[int, Mapping[str, str], bytes]
ERROR = (
    DenormalizedStructureBuilder()
    .with_members({"__type": {"type": "string"}, "message": {"type": "string"}})
    .build_model()
)


class RefusalError(Exception):
    """CloudWatch refuses a request."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True)
class Request:
    """A request: its operation, and its input with numbers as numbers and times as seconds since 1970."""

    operation: OperationModel
    input: dict[str, Any]
    protocol: str

    def answer(self, output: Mapping[str, Any]) -> Response:
        """Write an output. Members that the operation's model lacks, or that are None, are left out."""
        shape = self.operation.output_shape
        if self.protocol == "query":
            return self._xml(_xml(shape, output) if shape else "")
        members = _output(shape, output, cbor=self.protocol == "cbor") if shape else {}
        if self.protocol == "cbor":
            return _cbor(200, shape or ERROR, members)
        return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(members).encode()

    def refuse(self, refusal: RefusalError) -> Response:
        """Write an error."""
        if self.protocol == "cbor":
            return _cbor(refusal.status, ERROR, {"__type": refusal.code, "message": refusal.message})
        response: Response = cloudwatch._error(
            refusal.code, refusal.message, refusal.status, use_json=self.protocol == "json"
        )
        return response

    def _xml(self, members: str) -> Response:
        shape, name = self.operation.output_shape, self.operation.name
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper", f"{name}Result")
            members = f"<{wrapper}>{members}</{wrapper}>"
        response: Response = cloudwatch._xml(200, f"{name}Response", members)
        return response


@functools.cache
def service() -> ServiceModel:
    """Return CloudWatch's model."""
    return ServiceModel(models.LOADER.load_service_model("cloudwatch", "service-2"))


def read(path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]) -> Request | None:
    """Return the operation that is requested, or None if it is not one of CloudWatch."""
    kind, target = headers.get("content-type", ""), headers.get("x-amz-target", "")
    if "cbor" in kind or "cbor" in headers.get("smithy-protocol", ""):
        found = re.search(r"/operation/([^/?]+)", path)
        name, protocol, content = found[1] if found else "", "cbor", _read_cbor(body)
    elif target or "json" in kind:
        name, protocol, content = target.rpartition(".")[2], "json", json.loads(body or b"{}")
    else:
        fields = {key: str(value[0] if isinstance(value, list) else value) for key, value in query.items()}
        fields |= {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        name, protocol, content = fields.get("Action", ""), "query", fields
    if name not in service().operation_names:
        return None
    operation = service().operation_model(name)
    shape = operation.input_shape
    if shape is None:
        return Request(operation, {}, protocol)
    return Request(operation, _fields(shape, content, "") if protocol == "query" else _input(shape, content), protocol)


def output_of(response: Response) -> dict[str, Any]:
    """Return the output in a response of MiniStack's in JSON.

    Raises:
        RefusalError: it is an error.
    """
    status, _, body = response
    content: dict[str, Any] = json.loads(body)
    if status >= 400:
        raise RefusalError(content["__type"], content["message"], status)
    return content


def iso(moment: float) -> str:
    """Return a moment in the format of CloudWatch's texts, such as 2019-10-02T17:04:40.989+0000."""
    return _utc(moment).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(moment * 1000) % 1000:03d}+0000"


def _utc(moment: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC)


def _input(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _input(shape.members[name], value[name])
            for name in value
            if name in shape.members and value[name] is not None
        }
    if isinstance(shape, ListShape):
        return [_input(shape.member, each) for each in value]
    return _scalar(shape, value)


def _fields(shape: Shape, fields: Mapping[str, str], prefix: str) -> Any:
    """Return a value out of the flat fields of a query: ``Dimensions.member.1.Name`` and so on."""
    if isinstance(shape, StructureShape):
        found = {}
        for name, member in shape.members.items():
            at = f"{prefix}.{name}" if prefix else name
            if at in fields and not isinstance(member, (StructureShape, ListShape)):
                found[name] = _scalar(member, fields[at])
            elif any(key.startswith(f"{at}.") for key in fields):
                found[name] = _fields(member, fields, at)
        return found
    if isinstance(shape, ListShape):
        count = 1
        found_members = []
        while any(key == f"{prefix}.member.{count}" or key.startswith(f"{prefix}.member.{count}.") for key in fields):
            found_members.append(_fields(shape.member, fields, f"{prefix}.member.{count}"))
            count += 1
        return found_members
    return _scalar(shape, fields[prefix])


def _scalar(shape: Shape, value: Any) -> Any:
    if shape.type_name in {"double", "float"}:
        return float(value)
    if shape.type_name in {"integer", "long"}:
        return int(value)
    if shape.type_name == "boolean":
        return value if isinstance(value, bool) else value == "true"
    if shape.type_name == "timestamp":
        return cloudwatch._parse_ts(value)
    return value


def _output(shape: Shape, value: Any, *, cbor: bool) -> Any:
    if isinstance(shape, StructureShape):
        return {
            name: _output(member, value[name], cbor=cbor)
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [_output(shape.member, each, cbor=cbor) for each in value]
    if shape.type_name == "timestamp":
        moment = round(_moment(value), 3)
        return _utc(moment) if cbor else moment
    return value if isinstance(shape, MapShape) else _scalar(shape, value)


def _xml(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return "".join(
            f"<{name}>{_xml(member, value[name])}</{name}>"
            for name, member in shape.members.items()
            if value.get(name) is not None
        )
    if isinstance(shape, ListShape):
        return "".join(f"<member>{_xml(shape.member, each)}</member>" for each in value)
    if isinstance(shape, MapShape):
        return "".join(
            f"<entry><key>{escape(key)}</key><value>{_xml(shape.value, each)}</value></entry>"
            for key, each in value.items()
        )
    if shape.type_name == "timestamp":
        return iso(_moment(value)).replace("+0000", "Z")
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(str(_scalar(shape, value)))


def _read_cbor(body: bytes) -> Any:
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}


def _cbor(status: int, shape: Shape, value: Any) -> Response:
    """Return a response in CBOR; MiniStack needs cbor2 for that, which it does not bring."""
    written = bytearray()
    serializer: Any = RpcV2CBORSerializer()
    serializer._serialize_data_item(written, value, shape)
    return status, {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}, bytes(written)


def _moment(value: Any) -> float:
    return float(cloudwatch._parse_ts(value))
