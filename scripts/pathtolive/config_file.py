"""Read and write terraform/config.tf: the function version and the gateway deployment of each stage."""

from __future__ import annotations

import functools
import os
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError

from pathtolive.cli import CommandError

NEWEST = "newest"


@dataclass(frozen=True)
class Pin:
    """The number of a version and the name of a gateway deployment; each may be "newest".

    ``function_version`` is None if config.tf does not pin the stage.
    """

    function_version: str | None
    gateway_deployment: str


@dataclass(frozen=True)
class Pins:
    """The text of a config.tf, and its values. Changes are made in the text, so that comments stay.

    ``name`` is the name of the file in errors.
    """

    text: str
    name: str

    @functools.cached_property
    def gateway_deployments(self) -> list[str]:
        """Names of the gateway deployments, oldest first."""
        return [_text(string).strip('"') for string in self._local("gateway_deployments", "tuple").find_data("string")]

    @functools.cached_property
    def stages(self) -> Mapping[str, Pin]:
        """The pin of each stage."""
        stages = {}
        for name, (_, node) in _elements(self._local("stages", "object")).items():
            values = {key: _text(value).strip('"') for key, (_, value) in _elements(node).items()}
            stages[name] = Pin(values.get("function_version"), values.get("gateway_deployment", NEWEST))
        return types.MappingProxyType(stages)

    def stage(self, name: str) -> Pin:
        """Return the pin of a stage.

        Raises:
            CommandError: there is no such stage.
        """
        stages = self.stages
        if name not in stages:
            raise CommandError(f"{self.name} has no stage {name!r}. Name one of: {', '.join(stages)}")
        return stages[name]

    def with_pin(self, stage: str, pin: Pin) -> Pins:
        """Return these pins with a new one for a stage.

        Raises:
            CommandError: there is no such stage.
        """
        if self.stage(stage) == pin:
            return self
        pins = self._with_value(stage, "gateway_deployment", pin.gateway_deployment)
        pins = pins._with_value(stage, "function_version", pin.function_version)
        if pins.stages != {**self.stages, stage: pin}:
            raise CommandError(f"The pin of {stage} in {self.name} cannot be rewritten. Change it by hand to: {pin}")
        return pins

    def with_gateway_deployments(self, names: list[str]) -> Pins:
        """Return these pins with new names of gateway deployments."""
        if names == self.gateway_deployments:
            return self
        names_text = ", ".join(f'"{name}"' for name in names)
        return self._replaced(_span(self._local("gateway_deployments", "tuple")), f"[{names_text}]")

    def without_versions(self) -> Pins:
        """Return these pins without version numbers: a number means nothing in another AWS account."""
        pins = self
        for stage, pin in self.stages.items():
            if pin.function_version != NEWEST:
                pins = pins.with_pin(stage, Pin(None, pin.gateway_deployment))
        return pins

    def next_gateway_deployment(self) -> str:
        """Return the name of the next gateway deployment: a number."""
        numbers = [int(name) for name in self.gateway_deployments if name.isdigit()]
        return str(max(numbers, default=0) + 1)

    def write(self, path: Path) -> None:
        """Replace the file in one step, so that no reader finds half of it."""
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(self.text, encoding="utf-8")
        partial.replace(path)

    def _with_value(self, stage: str, key: str, value: str | None) -> Pins:
        node = _elements(self._local("stages", "object"))[stage][1]
        element = _elements(node).get(key)
        if value is not None and element is not None:
            return self._replaced(_span(element[1]), f'"{value}"')
        if value is not None:
            start = _span(node).start + 1
            separator = "," if re.match(r"[ \t]*[^\s}]", self.text[start:]) else ""
            line_break = "\n" if re.match(r"[ \t]*\n", self.text[start:]) else " "
            return self._replaced(slice(start, start), f'{line_break}{key} = "{value}"{separator}')
        if element is not None:
            return self._replaced(_with_line(self.text, _span(element[0])), "")
        return self

    def _replaced(self, span: slice, text: str) -> Pins:
        return Pins(self.text[: span.start] + text + self.text[span.stop :], self.name)

    def _local(self, name: str, kind: str) -> Tree[Token]:
        for attribute in self._tree.find_data("attribute"):
            if _text(attribute.children[0]) == name and (node := _outermost(attribute, kind)):
                return node
        raise CommandError(f"{self.name} must set {name} to a plain {kind}. See docs/stages.md")

    @functools.cached_property
    def _tree(self) -> Tree[Token]:
        try:
            return hcl2.parses_to_tree(self.text)
        except LarkError as error:
            raise CommandError(f"{self.name} is not valid Terraform: {error}") from error


def read(path: Path) -> Pins:
    """Read a config.tf.

    Raises:
        CommandError: it is missing.
    """
    try:
        return Pins(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError as error:
        raise CommandError(f"{path} is missing. Restore it with: git checkout terraform/config.tf") from error


def _elements(node: Tree[Token]) -> dict[str, tuple[Tree[Token], Tree[Token]]]:
    """Return each element of an object with its value, by key."""
    elements = {}
    owner = _outermost(node, "object")
    for element in owner.children if owner else []:
        if isinstance(element, Tree) and element.data == "object_elem":
            key, value = (child for child in element.children if isinstance(child, Tree))
            elements[_text(key).strip('"')] = element, value
    return elements


def _outermost(node: Tree[Token], kind: str) -> Tree[Token] | None:
    """Return the node if it is of a kind, or the first such node below it: stages are objects in an object."""
    if node.data == kind:
        return node
    below = (_outermost(child, kind) for child in node.children if isinstance(child, Tree))
    return next((found for found in below if found), None)


def _tokens(node: Tree[Token] | Token | None) -> Iterator[Token]:
    if isinstance(node, Tree):
        for child in node.children:
            yield from _tokens(child)
    elif node is not None:
        yield node


def _text(node: Tree[Token] | Token | None) -> str:
    return "".join(_tokens(node)).strip()


def _span(node: Tree[Token]) -> slice:
    tokens = list(_tokens(node))
    return slice(tokens[0].start_pos, tokens[-1].end_pos)


def _with_line(text: str, span: slice) -> slice:
    """Return the span of an element with the comma after it, and with its line if nothing else is on it."""
    stop = span.stop + len(re.match(r"[ \t]*,?[ \t]*", text[span.stop :])[0])  # type: ignore[index]
    indentation = re.search(r"\n[ \t]*$", text[: span.start])
    if indentation and text[stop : stop + 1] == "\n":
        return slice(indentation.start(), stop)
    return slice(span.start, stop)
