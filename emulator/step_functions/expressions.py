"""Find what an expression in JSONata refers to although AWS has no such thing.

AWS evaluates an expression without a context: input and variables have names that begin with a dollar. The rules and
the words are those that were measured on AWS: https://github.com/floci-io/floci/issues/2670
https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException

UNSUPPORTED = "UNSUPPORTED_JSONATA_EXPRESSION"
INVALID = "INVALID_JSONATA_EXPRESSION"
# What is evaluated with a context: that of the step, array, or object before it.
_WITH_CONTEXT = {"predicate", "stages", "group", "terms", "pattern", "update", "delete"}


def problems(expression: str, *, in_catcher: bool) -> Iterator[tuple[str, str]]:
    """Yield the code and the message of each problem; only the fields of a catcher have an error output."""
    try:
        tree = Jsonata.jsonata(expression).ast
    except JException as error:
        yield INVALID, str(error)
        return
    for name in dict.fromkeys(_references(tree)):
        match name:
            case "$$":
                yield UNSUPPORTED, "Reference to '$$' is not supported."
            case "$states.errorOutput":
                if not in_catcher:
                    yield UNSUPPORTED, "Field '$states.errorOutput' does not exist."
            case _:
                yield UNSUPPORTED, f"Reference to '{name}' at the top level is not supported."


def _references(node: Any) -> Iterator[str]:
    """Yield the names that are looked up in the context, and the two that need more than their own name."""
    match node.type:
        case "name":
            yield str(node.value)
        case "variable" if node.value in {"", "$"}:
            yield f"${node.value}"
        case "path":
            first, *more = node.steps
            yield from _references(first)
            following = more[0].value if more else None
            if (first.type, first.value, following) == ("variable", "states", "errorOutput"):
                yield "$states.errorOutput"
        case _:
            for part, value in vars(node).items():
                if part not in _WITH_CONTEXT:
                    yield from (name for child in _nodes(value) for name in _references(child))


def _nodes(value: Any) -> Iterator[Any]:
    """Yield the nodes of a tree in a value, which can be a node, or a list of them, or of pairs of them."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _nodes(item)
    elif hasattr(value, "steps") and hasattr(value, "type"):
        yield value
