"""Read and write terraform/config.tf: which stage runs which version and serves which routes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError

from pathtolive.cli import CommandError

NEWEST = "newest"


@dataclass(frozen=True)
class Pin:
    """What a stage is pinned to: a version's number and a gateway deployment's name; each may be "newest".

    ``function_version`` is None for a stage that is not pinned yet.
    """

    function_version: str | None
    gateway_deployment: str


@dataclass(frozen=True)
class Pins:
    """The text of a config.tf, and what it says. Changes are made in the text, so that comments stay.

    ``name`` is what errors call the file.
    """

    text: str
    name: str

    @property
    def gateway_deployments(self) -> list[str]:
        """Names of the gateway deployments, oldest first."""
        return [_text(string).strip('"') for string in self._local("gateway_deployments", "tuple").find_data("string")]

    @property
    def stages(self) -> dict[str, Pin]:
        """What every stage is pinned to."""
        stages = {}
        for name, (_, node) in _elements(self._local("stages", "object")).items():
            values = {key: _text(value).strip('"') for key, (_, value) in _elements(node).items()}
            stages[name] = Pin(values.get("function_version"), values.get("gateway_deployment", NEWEST))
        return stages

    def stage(self, name: str) -> Pin:
        """Return what a stage is pinned to.

        Raises:
            CommandError: there is no such stage.
        """
        stages = self.stages
        if name not in stages:
            raise CommandError(f"{self.name} has no stage {name!r}, but {', '.join(stages)}: name one of these")
        return stages[name]

    def with_pin(self, stage: str, pin: Pin) -> Pins:
        """Return these pins with another one for a stage.

        Raises:
            CommandError: there is no such stage.
        """
        self.stage(stage)
        pins = self._with_value(stage, "gateway_deployment", pin.gateway_deployment)
        pins = pins._with_value(stage, "function_version", pin.function_version)
        if pins.stages != self.stages | {stage: pin}:
            raise CommandError(f"{self.name} is written in a way that cannot be changed: pin {stage} to {pin} by hand")
        return pins

    def with_gateway_deployments(self, names: list[str]) -> Pins:
        """Return these pins with other gateway deployments."""
        names_text = ", ".join(f'"{name}"' for name in names)
        return self._replaced(_span(self._local("gateway_deployments", "tuple")), f"[{names_text}]")

    def without_versions(self) -> Pins:
        """Return these pins without any version's number: numbers speak of one AWS account."""
        pins = self
        for stage, pin in self.stages.items():
            if pin.function_version != NEWEST:
                pins = pins.with_pin(stage, Pin(None, pin.gateway_deployment))
        return pins

    def next_gateway_deployment(self) -> str:
        """Return the name for one more gateway deployment: the next number."""
        numbers = [int(name) for name in self.gateway_deployments if name.isdigit()]
        return str(max(numbers, default=0) + 1)

    def write(self, path: Path) -> None:
        """Write the text: whoever reads the file finds the old one or the new one, never half of one."""
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
        try:
            tree = hcl2.parses_to_tree(self.text)
        except LarkError as error:
            raise CommandError(f"{self.name} is not valid Terraform: {error}") from error
        for attribute in tree.find_data("attribute"):
            if _text(attribute.children[0]) == name and (node := _outermost(attribute, kind)):
                return node
        raise CommandError(f"{self.name} must set {name} to a plain {kind}: see docs/stages.md")


def read(path: Path) -> Pins:
    """Read a config.tf.

    Raises:
        CommandError: it is missing.
    """
    try:
        return Pins(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError as error:
        raise CommandError(f"{path} is missing: restore it with 'git checkout terraform/config.tf'") from error


def _elements(node: Tree[Token]) -> dict[str, tuple[Tree[Token], Tree[Token]]]:
    """Return each element of an object, and the value in it, by key."""
    elements = {}
    owner = _outermost(node, "object")
    for element in owner.children if owner else []:
        if isinstance(element, Tree) and element.data == "object_elem":
            key, value = (child for child in element.children if isinstance(child, Tree))
            elements[_text(key).strip('"')] = element, value
    return elements


def _outermost(node: Tree[Token], kind: str) -> Tree[Token] | None:
    """Return the node, or the first below it that is of a kind: stages are objects inside an object."""
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
    """Return an element's place with the comma after it, and with the line where it stands alone."""
    stop = span.stop + len(re.match(r"[ \t]*,?[ \t]*", text[span.stop :])[0])  # type: ignore[index]
    indentation = re.search(r"\n[ \t]*$", text[: span.start])
    if indentation and text[stop : stop + 1] == "\n":
        return slice(indentation.start(), stop)
    return slice(span.start, stop)
