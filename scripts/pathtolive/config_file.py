"""Read and write terraform/config.tf: the function version and the gateway deployment of each stage."""

from __future__ import annotations

import functools
import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathtolive import files, terraform_cli
from pathtolive.cli import CommandError
from pathtolive.hcl import Document, Element, Elements

NEWEST = "newest"
LOCALS = {"gateway_deployments", "stages"}
VERSION = re.compile(f"[1-9][0-9]*|{NEWEST}")


@dataclass(frozen=True)
class Pin:
    """The number of a version and the name of a gateway deployment; each may be "newest".

    ``function_version`` is None if config.tf does not pin the stage.
    """

    function_version: str | None
    gateway_deployment: str

    @property
    def follows(self) -> tuple[bool, bool]:
        """Whether the stage follows the newest version, and the newest routes."""
        return self.function_version == NEWEST, self.gateway_deployment == NEWEST


@dataclass(frozen=True)
class Pins:
    """The text of a config.tf, and its values, as Terraform reads them.

    Changes are made in the text: only the bytes of a pin change, and the alignment of the lines if the text was
    formatted. ``name`` is the name of the file in errors. Each value raises CommandError if the file is not valid
    Terraform, or sets ``stages`` or ``gateway_deployments`` to anything but plain values.
    """

    text: str
    name: str

    @property
    def gateway_deployments(self) -> list[str]:
        """Names of the gateway deployments, oldest first."""
        return list(self._content.names)

    @property
    def stages(self) -> Mapping[str, Pin]:
        """The pin of each stage."""
        return self._content.pins

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
        return self._changed(pins.text, {**self.stages, stage: pin}, self.gateway_deployments)

    def with_gateway_deployments(self, names: list[str]) -> Pins:
        """Return these pins with new names of gateway deployments."""
        pins = self
        for place, name in enumerate(names):
            content = pins._content
            if place == len(content.names):
                pins = Pins(content.document.with_last(content.deployments, f'"{name}"'), self.name)
            elif content.names[place] != name:
                pins = Pins(content.document.with_value(content.deployments.each[place], name), self.name)
        while len(pins.gateway_deployments) > len(names):
            pins = Pins(pins._content.document.without(pins._content.deployments, len(names)), self.name)
        return self._changed(pins.text, self.stages, names)

    def without_versions(self) -> Pins:
        """Return these pins without version numbers: a number means nothing in another AWS account."""
        pins = self
        for stage, pin in self.stages.items():
            if pin.function_version != NEWEST:
                pins = pins.with_pin(stage, Pin(None, pin.gateway_deployment))
        return pins

    def with_pins(self, own: Pins) -> Pins:
        """Return these stages with the pins of another file, which is that of another account.

        A stage that the other file does not have, or that follows the newest only here, keeps its own pin.
        """
        new = [pin.gateway_deployment for stage, pin in self.stages.items() if stage not in own.stages]
        names = [*own.gateway_deployments, *(name for name in self.gateway_deployments if name in new)]
        pins = self.with_gateway_deployments(list(dict.fromkeys(names)))
        for stage, pin in own.stages.items():
            if stage in self.stages and self.stages[stage].follows == pin.follows:
                pins = pins.with_pin(stage, pin)
        return pins

    def next_gateway_deployment(self) -> str:
        """Return the name of the next gateway deployment: a number."""
        numbers = [int(name) for name in self.gateway_deployments if name.isdigit()]
        return str(max(numbers, default=0) + 1)

    def write(self, path: Path) -> None:
        """Replace the file in one step, so that no reader finds half of it."""
        files.write(path, self.text.encode())

    def _with_value(self, stage: str, key: str, value: str | None) -> Pins:
        if getattr(self.stages[stage], key) == value:
            return self
        document, elements = self._content.document, self._content.stages[stage]
        place = next((place for place, element in enumerate(elements.each) if element.key == key), None)
        if place is None:
            text = document.with_first(elements, f'{key} = "{value}"')
        elif value is None:
            text = document.without(elements, place)
        else:
            text = document.with_value(elements.each[place], value)
        return Pins(text, self.name)

    def _changed(self, text: str, stages: Mapping[str, Pin], gateway_deployments: list[str]) -> Pins:
        """Return the pins of a new text, which is formatted if this one is, and verify its values."""
        if text == self.text:
            return self
        changed = Pins(text, self.name)
        if _moves_others(self.text, text):
            if self._is_formatted:
                changed = Pins(terraform_cli.formatted(text), self.name)
            changed.__dict__["_is_formatted"] = self._is_formatted
        if (changed.stages, changed.gateway_deployments) != (stages, gateway_deployments):
            raise CommandError(
                f"{self.name} cannot be rewritten. Set its values by hand: {dict(stages)}, {gateway_deployments}"
            )
        return changed

    @functools.cached_property
    def _is_formatted(self) -> bool:
        return terraform_cli.formatted(self.text) == self.text

    @functools.cached_property
    def _content(self) -> _Content:
        return _content(Document(self.text, self.name))


@dataclass(frozen=True)
class _Content:
    """The values of a config.tf, and their places in its text."""

    document: Document
    deployments: Elements
    names: list[str]
    stages: Mapping[str, Elements]
    pins: Mapping[str, Pin]


def _content(document: Document) -> _Content:
    """Read both local values, so that neither is refused after something has changed."""
    deployments = document.elements(document.local("gateway_deployments"), "gateway_deployments", "tuple")
    names = [_name(document, element, "a name in gateway_deployments") for element in deployments.each]
    stages, pins = {}, {}
    for stage in document.elements(document.local("stages"), "stages", "object").each:
        stages[stage.key] = document.elements(stage.node, f"the stage {stage.key}", "object")
        pins[stage.key] = _pin(document, stage.key, {element.key: element for element in stages[stage.key].each})
    return _Content(document, deployments, names, stages, types.MappingProxyType(pins))


def _pin(document: Document, stage: str, elements: Mapping[str, Element]) -> Pin:
    """Return the pin of a stage, with the defaults of terraform/main.tf."""
    version, deployment = None, NEWEST
    if element := elements.get("function_version"):
        version = document.value(element, f"function_version of {stage}")
        if version is not None and not VERSION.fullmatch(version):
            raise document.error(
                element, f'function_version of {stage} is "{version}": write a version number or "{NEWEST}"'
            )
    if element := elements.get("gateway_deployment"):
        deployment = _name(document, element, f"gateway_deployment of {stage}")
    return Pin(version, deployment)


def _name(document: Document, element: Element, what: str) -> str:
    name = document.value(element, what)
    if name is None:
        raise document.error(element, f"{what} is null: write a name in quotes")
    return name


def read(path: Path) -> Pins:
    """Read a config.tf.

    Raises:
        CommandError: it is missing, it is not text, or another file overrides its values.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CommandError(f"{path} is missing. Restore it with: git checkout terraform/config.tf") from error
    for other in sorted(path.parent.glob("*.tf*")):
        if overridden := LOCALS & _overridden(other):
            names, them = " and ".join(sorted(overridden)), "it" if len(overridden) == 1 else "them"
            raise CommandError(f"{other.name} overrides {names}: set {them} in {path.name} alone")
    return Pins(_decoded(content, path.name), path.name)


def _overridden(path: Path) -> set[str]:
    """Return the local values in an override file; Terraform refuses them in any other second file.

    https://developer.hashicorp.com/terraform/language/files/override
    """
    name = path.name.removesuffix(".json").removesuffix(".tf")
    if path.name.startswith(".") or not (name == "override" or name.endswith("_override")):
        return set()
    text = _decoded(path.read_bytes(), path.name)
    if path.suffix == ".tf":
        return set(Document(text, path.name).locals)
    try:
        roots = json.loads(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"{path.name} line {error.lineno} is not valid Terraform: {error.msg}") from error
    return {name for root in _objects(roots) for block in _objects(root.get("locals", {})) for name in block}


def _objects(value: Any) -> list[Any]:
    """Return the blocks of Terraform's JSON syntax: an object, or a list of objects.

    https://developer.hashicorp.com/terraform/language/syntax/json
    """
    return value if isinstance(value, list) else [value]


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{name} line {line} is not valid Terraform: Invalid character encoding") from error


def _moves_others(before: str, after: str) -> bool:
    """Return whether a change can move the equals signs or comments of any line, which Terraform aligns."""
    if before.count("\n") != after.count("\n"):
        return True
    lines = zip(before.split("\n"), after.split("\n"), strict=True)
    return any(
        old != new and (old.partition("=")[0] != new.partition("=")[0] or re.search("#|/[/*]|[*]/", new))
        for old, new in lines
    )
