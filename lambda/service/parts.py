"""The headers, query string, and body of an event. Imported only if a route reads one."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, unquote_plus

from service.http import BadRequest


def headers(event: dict[str, object]) -> dict[str, str]:
    """Return the headers by their names in lower case. Several values are joined by commas, cookies by semicolons."""
    values = _lists(event.get("multiValueHeaders")) or _lists(event.get("headers"))
    if cookies := event.get("cookies"):
        values |= _lists({"cookie": cookies})
    return {name.lower(): ("; " if name.lower() == "cookie" else ",").join(found) for name, found in values.items()}


def query(event: dict[str, object]) -> dict[str, list[str]]:
    """Return the values of each parameter of the query string."""
    raw = event.get("rawQueryString")
    if isinstance(raw, str):
        return parse_qs(raw, keep_blank_values=True)
    values = _lists(event.get("multiValueQueryStringParameters")) or _lists(event.get("queryStringParameters"))
    context = event.get("requestContext")
    if isinstance(context, dict) and "elb" in context:
        # Load balancers do not decode them.
        return {unquote_plus(name): list(map(unquote_plus, found)) for name, found in values.items()}
    return values


def body(event: dict[str, object]) -> bytes:
    """Return the body.

    Raises:
        BadRequest: it is not Base64, although the event says so.
    """
    text = event.get("body")
    if not isinstance(text, str):
        return b""
    if event.get("isBase64Encoded") is not True:
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadRequest from error


def _lists(given: object) -> dict[str, list[str]]:
    """Return a mapping to strings or lists of them as one to lists; empty for anything else."""
    if not isinstance(given, dict):
        return {}
    return {
        str(name): [str(value) for value in (values if isinstance(values, list) else [values])]
        for name, values in given.items()
    }
