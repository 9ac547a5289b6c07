"""Filter patterns: conditions on the fields of a line that is JSON.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

GRAMMAR = r"""
?start: "{" disjunction "}"
?disjunction: conjunction ("||" conjunction)*
?conjunction: condition ("&&" condition)*
?condition: "(" disjunction ")"
          | SELECTOR COMPARE (VALUE | STRING) -> comparison
          | SELECTOR "IS" LITERAL -> literal
          | SELECTOR "NOT" "EXISTS" -> missing
COMPARE: "!=" | "<=" | ">=" | "=" | "<" | ">"
LITERAL.2: "NULL" | "TRUE" | "FALSE"
SELECTOR: /\$(\.[A-Za-z0-9_-]+(\[[0-9]+\])*)+/
STRING: /"(\\.|[^"\\])*"/
VALUE: /[A-Za-z0-9_.*+-]+/
%import common.WS
%ignore WS
"""

SELECTOR = re.compile(r"\$(\.[A-Za-z0-9_-]+(\[[0-9]+\])*)+")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
TEXT = re.compile(r'"(\\.|[^"\\])*"')
# Parts of the language that this one does not have, and what only they contain outside of quotation marks.
OTHERS = {
    "space-delimited patterns": re.compile(r"^\s*\["),
    "unstructured patterns": re.compile(r"^\s*[^\s{\[]"),
    "regular expressions": re.compile(r"%"),
    "wildcards in property selectors": re.compile(r"\$[^\s=!<>&|()]*\*"),
    "EXISTS without NOT, for which AWS documents `= *`,": re.compile(r"\$\S+\s+EXISTS\b"),
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
LITERALS = {"NULL": None, "TRUE": True, "FALSE": False}

Line = Mapping[str, Any]
Condition = Callable[[Line], bool]


class PatternError(ValueError):
    """A pattern that is not written in the language, or uses a part of it that local AWS does not have."""


class Pattern:
    """A filter pattern."""

    def __init__(self, text: str) -> None:
        """Parse a pattern.

        Raises:
            PatternError: it is not written in the language, or uses a part of it that local AWS does not have.
        """
        # An empty pattern matches every line, and has no fields.
        self.has_fields = bool(text.strip())
        self._condition = _parsed(text) if self.has_fields else None

    def match(self, message: str) -> Line | None:
        """Return the fields of a line that matches, which are none if the pattern is empty, or None."""
        if self._condition is None:
            return {}
        try:
            line = json.loads(message)
        except ValueError:
            return None
        return line if isinstance(line, dict) and self._condition(line) else None


@functools.lru_cache(maxsize=1_000)
def compiled(text: str) -> Pattern:
    """Return a pattern, of which the same is read again for each line.

    Raises:
        PatternError: it is not written in the language, or uses a part of it that local AWS does not have.
    """
    return Pattern(text)


def value_at(line: Line, selector: str) -> str | float | None:
    """Return the text or number that a selector such as ``$.users[0].id`` points to, or None."""
    return next((found for found in _at(line, selector) if _is_value(found)), None)


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr")


def _parsed(text: str) -> Condition:
    bare = TEXT.sub('""', text)
    for name, sign in OTHERS.items():
        if sign.search(bare):
            raise PatternError(f"Local AWS does not support {name} in metric filters.")
    try:
        condition: Condition = _Conditions().transform(_parser().parse(text))
    except VisitError as error:
        raise error.orig_exc from error
    except LarkError as error:
        raise PatternError(f"Invalid metric filter pattern: {str(error).splitlines()[0]}") from error
    return condition


def _at(line: Line, selector: str) -> list[Any]:
    """Return what a selector points to, or nothing."""
    found: Any = line
    for name, index in re.findall(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]", selector):
        if name and isinstance(found, dict) and name in found:
            found = found[name]
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            return []
    return [found]


def _is_value(found: Any) -> bool:
    """Return whether a condition can compare it: no array, no object, nothing else that is no text or number."""
    return isinstance(found, (str, int, float)) and not isinstance(found, bool)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _like(text: str) -> re.Pattern[str]:
    """Return the pattern of a text in which an asterisk at its start or end stands for any text."""
    start, end = ".*" * text.startswith("*"), ".*" * (len(text) > 1 and text.endswith("*"))
    core = text.removeprefix("*")
    return re.compile(start + re.escape(core.removesuffix("*") if end else core) + end, re.DOTALL)


@v_args(inline=True)
class _Conditions(Transformer[Token, Condition]):
    """Turns the tree of a pattern into functions. Each method stands for a rule of the grammar."""

    def disjunction(self, *operands: Condition) -> Condition:
        return lambda line: any(operand(line) for operand in operands)

    def conjunction(self, *operands: Condition) -> Condition:
        return lambda line: all(operand(line) for operand in operands)

    def literal(self, selector: Token, name: Token) -> Condition:
        return lambda line: any(found is LITERALS[name] for found in _at(line, selector))

    def missing(self, selector: Token) -> Condition:
        return lambda line: not _at(line, selector)

    def comparison(self, selector: Token, symbol: Token, operand: Token) -> Condition:
        text = re.sub(r"\\(.)", r"\1", operand[1:-1]) if operand.type == "STRING" else str(operand)
        number = float(text) if operand.type == "VALUE" and NUMBER.fullmatch(text) else None
        if number is None and symbol not in {"=", "!="}:
            raise PatternError(f"Invalid metric filter pattern: {symbol} needs a number, not {operand}")
        like = _like(text)

        def holds(found: Any) -> bool:
            if not _is_value(found):
                return False
            if number is not None and not isinstance(found, str):
                return COMPARISONS[symbol](found, number)
            return symbol in {"=", "!="} and bool(like.fullmatch(_text(found))) == (symbol == "=")

        return lambda line: any(holds(found) for found in _at(line, selector))
