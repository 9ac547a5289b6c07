"""Plain values in a Terraform file: read with python-hcl2, and changed in its text, so that all other text stays.

A value is plain if it is written out: a list, an object, a string, a whole number, or null.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError, UnexpectedInput

from pathtolive import terraform_cli
from pathtolive.cli import CommandError

Node = Tree[Token]

PLAIN = {"object": "a plain object", "tuple": "a plain list"}
EXPRESSIONS = {
    "conditional": "a conditional",
    "float_lit": "a number",
    "for_object_expr": "a for expression",
    "for_tuple_expr": "a for expression",
    "function_call": "a function call",
    "get_attr_expr_term": "a reference",
    "heredoc_template": "a heredoc",
    "heredoc_template_trim": "a heredoc",
    "identifier": "a reference",
    "index_expr_term": "a reference",
    "int_lit": "a number",
    "object": "an object",
    "string": "a string",
    "tuple": "a list",
}
TEMPLATE = re.compile(r"\\|[$%]\{|\n")
# Comments at the end of a line, and its end.
REST_OF_LINE = re.compile(r"(?:[ \t]|/\*(?:[^*]|\*(?!/))*\*/)*(?:(?:#|//)[^\n]*?)?(?P<end>\r?\n)")
# What Terraform accepts and python-hcl2 does not, and what to write instead.
# https://github.com/amplify-education/python-hcl2/issues/343
HEREDOC = re.compile(r"<<-?(?P<word>[^\W\d][\w-]*)\r?\n(?:.*\n)*?[ \t]*(?P=word)[ \t]+\r?$", re.MULTILINE)
UNCLOSED = re.compile(r'[$%]{2}\{[^}\n]*"')
ESCAPED = "an escaped ${ or %{ here", "the string without it"
NOT_UNDERSTOOD = {
    r"/\*": ("a comment here", "it at the end of the line"),
    r"[^\x00-\x7f]": ("a name with letters other than a to z", "the name without them"),
}


@dataclass(frozen=True)
class Element:
    """An element of a list or an object, and its parts of the text; ``key`` is empty in a list."""

    key: str
    node: Node
    span: slice
    comma: slice | None = None


@dataclass(frozen=True)
class Elements:
    """The elements of a list or an object, and the part of the text inside its brackets."""

    each: list[Element]
    inside: slice


class Document:
    """A Terraform file. Changes return a new text.

    Raises:
        CommandError: it is not valid Terraform, or python-hcl2 does not read it as Terraform does.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        try:
            # Terraform ignores a byte order mark.
            self._root = hcl2.parses_to_tree(re.sub("^\ufeff", " ", text))
        except LarkError as error:
            raise self._unreadable(error) from error
        for token in _tokens(self._root):
            if misread := _misread(token):
                raise self._not_understood(token.start_pos or 0, *misread)

    @functools.cached_property
    def locals(self) -> dict[str, list[Node]]:
        """The values of each local value; Terraform refuses a file that sets one twice."""
        found: dict[str, list[Node]] = {}
        for block in _children(_children(self._root)[0]):
            if block.data == "block" and _source(block.children[0]) == "locals":
                for attribute in _children(_children(block)[-1]):
                    if attribute.data == "attribute":
                        name, value = _children(attribute)
                        found.setdefault(_source(name), []).append(value)
        return found

    def local(self, name: str) -> Node:
        """Return the value of a local value.

        Raises:
            CommandError: there is none, or a second one.
        """
        nodes = self.locals.get(name, [])
        if not nodes:
            raise CommandError(f"{self.name} has no locals block that sets {name}: write one as in docs/stages.md")
        if len(nodes) > 1:
            raise self._error(_span(nodes[1]).start, f"{name} is set a second time: delete one of them")
        return nodes[0]

    def value(self, element: Element, what: str) -> str | None:
        """Return a plain string or number, or None for null.

        Raises:
            CommandError: it is something else.
        """
        inner = _unwrapped(element.node)
        source = _source(inner)
        if inner.data == "literal_value" and source == "null":
            return None
        # Terraform writes larger numbers in another way.
        if inner.data == "int_lit" and re.fullmatch("0|[1-9][0-9]{0,17}", source):
            return source
        return self._string(element.node, what, "a plain string")

    def elements(self, node: Node, what: str, kind: str) -> Elements:
        """Return the elements of a plain list ("tuple") or object ("object") in their order.

        Raises:
            CommandError: it is something else, or an object has a key twice or a key that is not plain.
        """
        inner = _unwrapped(node)
        if inner.data != kind:
            raise self._not_plain(node, what, PLAIN[kind])
        each: list[Element] = []
        for child in inner.children[1:-1]:
            if isinstance(child, Token):
                each[-1] = dataclasses.replace(each[-1], comma=slice(child.start_pos, child.end_pos))
            elif child.data == "object_elem":
                key, value = _children(child)
                each.append(Element(self._key(key, what), value, _span(child)))
            elif child.data != "new_line_or_comment":
                each.append(Element("", child, _span(child)))
        for place, element in enumerate(each):
            if kind == "object" and any(element.key == earlier.key for earlier in each[:place]):
                raise self.error(element, f"{what} has {element.key} a second time: delete one of them")
        return Elements(each, slice(_span(inner).start + 1, _span(inner).stop - 1))

    def error(self, element: Element, what: str) -> CommandError:
        """Return an error that names the line of an element."""
        return self._error(element.span.start, what)

    def with_value(self, element: Element, value: str) -> str:
        """Return the text with another string as the value of an element."""
        return self._replaced(_span(element.node), f'"{value}"')

    def with_first(self, elements: Elements, new: str) -> str:
        """Return the text with a new first element, in a line of its own if the bracket ends its line."""
        start, first = elements.inside.start, next(iter(elements.each), None)
        comma = "," if first and first.comma else ""
        if line := REST_OF_LINE.match(self.text, start):
            indentation = self._indentation(first.span.start) if first else f"{self._indentation(start)}  "
            end = line.start("end")
            return self._replaced(slice(end, end), f"{line['end']}{indentation}{new}{comma}")
        space = "" if self.text[start].isspace() else " "
        return self._replaced(slice(start, start), f" {new}{',' if first else ''}{space}")

    def with_last(self, elements: Elements, new: str) -> str:
        """Return the text with a new last element, in a line of its own if the last element ends its line."""
        if not elements.each:
            return self._replaced(slice(elements.inside.start, elements.inside.start), new)
        last = elements.each[-1]
        start = (last.comma or last.span).stop
        before, after = ("", ",") if last.comma else (",", "")
        if line := REST_OF_LINE.match(self.text, start):
            end = line.start("end")
            added = f"{line['end']}{self._indentation(last.span.start)}{new}{after}"
            return self._replaced(slice(start, end), f"{before}{self.text[start:end]}{added}")
        return self._replaced(slice(start, start), f"{before} {new}{after}")

    def without(self, elements: Elements, place: int) -> str:
        """Return the text without an element and its comma, and without their line if nothing else is in it."""
        text, element = self.text, elements.each[place]
        start, stop, comma = element.span.start, element.span.stop, element.comma
        before = elements.each[place - 1].comma if place else None
        if comma and text[stop : comma.start].strip():
            # The comment between them stays.
            text = text[: comma.start] + text[comma.stop :]
        elif comma:
            stop = comma.stop
        if not comma and before and not text[before.stop : start].strip(" \t"):
            return text[: before.start] + text[stop:]
        stop = _after_blanks(text, stop)
        if end := re.compile(r"\r?\n").match(text, stop):
            start = len(text[:start].rstrip(" \t"))
            stop = end.end() if text[start - 1] == "\n" else stop
        elif stop == elements.inside.stop and not text[elements.inside.start : start].strip(" \t"):
            start = elements.inside.start
        return text[:start] + text[stop:]

    def _replaced(self, span: slice, new: str) -> str:
        return self.text[: span.start] + new + self.text[span.stop :]

    def _indentation(self, position: int) -> str:
        start = self.text.rfind("\n", 0, position) + 1
        return self.text[start : _after_blanks(self.text, start)]

    def _key(self, node: Node, what: str) -> str:
        inner = _unwrapped(node)
        if inner.data in {"identifier", "keyword", "literal_value"}:
            return _source(inner)
        return self._string(node, f"a name in {what}", "plain names")

    def _string(self, node: Node, what: str, wanted: str) -> str:
        inner = _unwrapped(node)
        if inner.data != "string" or TEMPLATE.search(_source(inner)):
            raise self._not_plain(node, what, wanted)
        # As Terraform does: https://developer.hashicorp.com/terraform/language/expressions/types#string
        return unicodedata.normalize("NFC", _source(inner)[1:-1])

    def _not_plain(self, node: Node, what: str, wanted: str) -> CommandError:
        inner = _unwrapped(node)
        found = EXPRESSIONS.get(inner.data, "an expression")
        if inner.data == "string" and TEMPLATE.search(_source(inner)):
            found = "a string with escapes or expressions"
        elif inner.data == "literal_value":
            found = _source(inner)
        return self._error(
            _span(node).start, f"{what} is {found}, but the commands read only {wanted}: write it as in docs/stages.md"
        )

    def _not_understood(self, position: int, what: str, instead: str) -> CommandError:
        return self._error(position, f"Terraform accepts {what}, but the commands cannot read it: write {instead}")

    def _error(self, position: int, what: str) -> CommandError:
        line = self.text.count("\n", 0, position) + 1
        return CommandError(f"{self.name} line {line}: {what}")

    def _unreadable(self, error: LarkError) -> CommandError:
        """Return the error that Terraform has, or one that names what python-hcl2 cannot read."""
        try:
            terraform_cli.formatted(self.text)
        except terraform_cli.InvalidError as invalid:
            return CommandError(f"{self.name} {invalid}")
        if heredoc := HEREDOC.search(self.text):
            word = heredoc["word"]
            return self._not_understood(heredoc.end(), f"spaces after {word}, which ends a heredoc", f"{word} alone")
        if escaped := UNCLOSED.search(self.text):
            return self._not_understood(escaped.start(), *ESCAPED)
        position = (error.pos_in_stream if isinstance(error, UnexpectedInput) else None) or 0
        line = self.text[self.text.rfind("\n", 0, position) + 1 :].partition("\n")[0]
        known = (known for pattern, known in NOT_UNDERSTOOD.items() if re.search(pattern, line))
        return self._not_understood(position, *next(known, ("this expression", "it in another file")))


def _misread(token: Token) -> tuple[str, str] | None:
    """Return what python-hcl2 reads differently from Terraform, and what to write instead, or None.

    https://github.com/hashicorp/hcl/blob/main/hclsyntax/scan_tokens.rl
    """
    if token.type.startswith("ESCAPED_") and re.search(r'["\\\n]|[$%]\{', token[3:]):
        return ESCAPED
    if token.type.startswith("HEREDOC_"):
        opening, *lines = token.split("\n")[:-2]
        word = opening.strip().lstrip("<-")
        if any(line.strip() == word for line in lines) or re.search(r"[$%]\{", token):
            return "this heredoc", "a string in quotes"
    return None


def _unwrapped(node: Node) -> Node:
    """Return a node without the nodes that only wrap it; parentheses are an expression."""
    while node.data in {"expr_term", "object_elem_key"}:
        inner = _children(node)
        if len(node.children) > 1 or not inner:
            break
        node = inner[0]
    return node


def _children(node: Node) -> list[Node]:
    return [child for child in node.children if isinstance(child, Tree)]


def _tokens(node: Node | Token) -> Iterator[Token]:
    if isinstance(node, Tree):
        for child in node.children:
            yield from _tokens(child)
    else:
        yield node


def _source(node: Node | Token) -> str:
    return "".join(_tokens(node)).strip()


def _span(node: Node) -> slice:
    tokens = list(_tokens(node))
    return slice(tokens[0].start_pos, tokens[-1].end_pos)


def _after_blanks(text: str, position: int) -> int:
    return len(text) - len(text[position:].lstrip(" \t"))
