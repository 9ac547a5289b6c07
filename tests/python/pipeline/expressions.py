"""The part of GitHub's expressions that the workflows use. Anything else is an error.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<name>[A-Za-z_][\w.-]*)|(?P<sign>&&|\|\||==|!=|[!()]))")
STATUS = {"always", "cancelled", "failure", "success"}


class Expression:
    """An expression with values for its contexts, and for the functions that tell the status of the job."""

    def __init__(self, text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[[], bool]]) -> None:
        self._contexts, self._functions = contexts, functions
        self._tokens: list[re.Match[str]] = []
        place = 0
        while text[place:].strip():
            match = TOKEN.match(text, place)
            assert match, f"The rehearsal does not know this part of an expression: {text[place:]}"
            self._tokens.append(match)
            place = match.end()
        self._place = 0

    def value(self) -> Any:
        found = self._or()
        assert self._place == len(self._tokens), f"unexpected: {self._tokens[self._place][0]}"
        return found

    def _sign(self, *signs: str) -> str | None:
        if self._place < len(self._tokens) and self._tokens[self._place]["sign"] in signs:
            self._place += 1
            return self._tokens[self._place - 1]["sign"]
        return None

    def _or(self) -> Any:
        found = self._and()
        while self._sign("||"):
            other = self._and()
            found = found or other
        return found

    def _and(self) -> Any:
        found = self._compared()
        while self._sign("&&"):
            other = self._compared()
            found = found and other
        return found

    def _compared(self) -> Any:
        found = self._single()
        while sign := self._sign("==", "!="):
            # Texts are compared without their case.
            equal = str(found).casefold() == str(self._single()).casefold()
            found = equal if sign == "==" else not equal
        return found

    def _single(self) -> Any:
        if self._sign("!"):
            return not self._single()
        if self._sign("("):
            found = self._or()
            assert self._sign(")")
            return found
        token = self._tokens[self._place]
        self._place += 1
        if token["text"]:
            return token["text"][1:-1].replace("''", "'")
        assert token["name"], f"unexpected: {token[0]}"
        if self._sign("("):
            assert self._sign(")"), f"{token['name']} takes no arguments here"
            return self._functions[token["name"]]()
        return self._context(token["name"])

    def _context(self, name: str) -> Any:
        first, *rest = name.split(".")
        found = self._contexts[first]
        for part in rest:
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        return found


def substitute(text: str, contexts: Mapping[str, Any]) -> str:
    """Return a text with the values of the expressions in it."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(Expression(match[1], contexts, {}).value()), text)


def condition(text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[[], bool]]) -> bool:
    """Return the value of an ``if``; without a function of the status, everything before must have succeeded."""
    text = re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", text)
    if not any(re.search(rf"\b{name}\(\)", text) for name in STATUS):
        text = f"success() && ({text})"
    return bool(Expression(text, contexts, functions).value())
