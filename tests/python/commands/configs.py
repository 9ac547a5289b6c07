"""Generated config.tf files in every layout that Terraform accepts, with the values that it must read in them."""

from __future__ import annotations

import dataclasses
import functools
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pathtolive.config_file import Pin

STAGES = [
    "dev",
    "test",
    "live",
    "prod",
    "eu-west_1",
    "Stage2",
    "for_each",
    "null",
    '"qa"',
    '"a b"',
    '"é"',
    '"e\u0301e"',
]
COMMENTS = [
    "",
    " since Monday",
    ' "',
    " ${",
    " é 😀",
    ' function_version = "999"',
    " {",
    " }",
    " <<EOT",
    " # //",
    " a\tb",
]
# Values of other attributes, some of which look like pins or comments.
OTHERS = [
    *("true", "null", "-1.5e3", "[1, 2]", "{}", '""', '"a # b"', '"// b"', '"/* b"', '"a \\" b\\\\"', '"é😀"', '"$"'),
    *('"5%"', '"$${a} %%{b}"', '"a${1 + 1}"', '"%{if true}a%{else}b%{endif}"', 'upper("a")', '["}", "{"][0]'),
    *('{ function_version = "999" }', '{ stages = { live = { function_version = "999" } } }', 'true ? "a" : "b"'),
    *('[for a in ["a"] : a]', '{ for a in ["a"] : a => a }', "(1 + 2)", "1 + 2 * 3", "!(1 == 2)", "max(1, 2)"),
    '{\n    a = "1" # b\n    b : 2\n  }',
    '[\n    "1", # a\n    "2"\n  ]',
    "(\n    true\n    && false\n  )",
]
HEREDOCS = ['<<EOT\n  function_version = "999"\n  EOT', "<<-A-b\n    stages = {}\n    A-bc\n  A-b"]
NOT_PLAIN = {
    "value": ["tostring(7)", '("7")', 'true ? "7" : "8"', '"${7}"', '"\\u0037"', "7.0", "007", "1e1"],
    "stage": ['merge({}, { function_version = "7" })', "({})", 'true ? { gateway_deployment = "1" } : {}'],
    "stages": ["merge({ live = {} })", '{ for a in ["a"] : a => {} }', "true ? { live = {} } : {}"],
    "key": ['("function_version")', '"function${"_version"}"', '"function\\u005fversion"', "7"],
}
# Terraform accepts these, and python-hcl2 does not, or reads something else.
UNREADABLE = [
    *('/* a */ "a"', '"$${"', '"${\n1\n}"', "<<EOT\na\nEOT ", "<<é\na\né", "<<EOT\n${1}\nEOT"),
    "<<EOT\nEOT \n  odd2 = <<EOT\nEOT",
]


@dataclass(frozen=True)
class Piece:
    """A piece of the text, with the stage and the key that it belongs to, and whether it is the value."""

    text: str
    owner: tuple[str, str] | None = None
    is_value: bool = False


@dataclass
class File:
    """A file, its values, the piece that the commands must refuse, and whether python-hcl2 reads it."""

    pieces: list[Piece] = field(default_factory=list)
    stages: dict[str, Pin] = field(default_factory=dict)
    gateway_deployments: list[str] = field(default_factory=list)
    refused: int | None = None
    readable: bool = True

    @property
    def text(self) -> str:
        """The text of the file."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def is_read(self) -> bool:
        """Whether the commands read the file."""
        return self.readable and self.refused is None

    def line(self, place: int) -> int:
        """Return the line of a piece."""
        return sum(piece.text.count("\n") for piece in self.pieces[:place]) + 1


Element = tuple[tuple[str, str] | None, Callable[[], None]]


class Generator:
    """Writes a file by the choices of a ``random.Random``."""

    def __init__(self, choices: random.Random) -> None:
        self.choices = choices
        self.file = File()
        self.oddity = choices.choice(["", "", "", "", "refused", "refused", "unreadable"])

    def generate(self) -> File:
        """Return the file."""
        attributes = [self._deployments, self._stages, *[self._other] * self.choices.randrange(3)]
        if self.oddity == "unreadable":
            attributes.append(self._unreadable)
        self.choices.shuffle(attributes)
        self._end_lines(0)
        if self._sometimes():
            self._put('variable "decoy" {\n  default = { stages = { live = { function_version = "999" } } }\n}\n')
        self._put("locals {")
        self._end_lines()
        for number, attribute in enumerate(attributes):
            if number and self._sometimes(6):
                self._put("}\nlocals {\n")
            self._put("  ")
            attribute()
        self._put("}")
        if self._sometimes():
            self._put(f" #{self.choices.choice(COMMENTS)}")
        else:
            self._end_lines()
        if self._sometimes():
            self.file.pieces = [
                dataclasses.replace(piece, text=piece.text.replace("\n", "\r\n")) for piece in self.file.pieces
            ]
        if self._sometimes(8):
            self.file.pieces[0] = Piece(f"\ufeff{self.file.pieces[0].text}")
        return self.file

    def _deployments(self) -> None:
        self._put("gateway_deployments = ")
        names = self.choices.sample(["1", "2", "10", "blue", "a.b"], self.choices.randrange(4))
        elements: list[Element] = [(None, functools.partial(self._value, name)) for name in names]
        self.file.gateway_deployments = names
        self._bracketed("[]", elements, 2)
        self._end_lines()

    def _stages(self) -> None:
        self._put("stages = ")
        if not self._refused("stages"):
            names = self.choices.sample(STAGES, self.choices.randrange(1, 5))
            self._bracketed("{}", [(None, functools.partial(self._stage, name)) for name in names], 2)
        self._end_lines()

    def _other(self) -> None:
        self._put(f"other{len(self.file.pieces)} = ")
        self._put(value := self.choices.choice([*OTHERS, *HEREDOCS]))
        self._put("\n") if value in HEREDOCS else self._end_lines()

    def _unreadable(self) -> None:
        self._put(f"odd = {self.choices.choice(UNREADABLE)}\n")
        self.file.readable = False

    def _stage(self, name: str) -> None:
        self._put(name)
        self._put(self.choices.choice([" = ", " = ", "=", " : ", ": "]))
        if self._refused("stage"):
            return
        # As Terraform reads it.
        name = unicodedata.normalize("NFC", name.strip('"'))
        version = self.choices.choice([None, None, "newest", str(self.choices.randrange(1, 200))])
        deployment = self.choices.choice(["newest", "1", "2", "blue"])
        self.file.stages[name] = Pin(version, deployment)
        elements: list[Element] = []
        if version or self._sometimes():
            elements.append(self._attribute(name, "function_version", version))
        if deployment != "newest" or self._sometimes():
            elements.append(self._attribute(name, "gateway_deployment", deployment))
        for number in range(self.choices.choice([0, 0, 0, 1, 2])):
            other = self.choices.choice(OTHERS)
            elements.append((None, functools.partial(self._put, f"{self.choices.choice('xyz')}{number} = {other}")))
        self.choices.shuffle(elements)
        self._bracketed("{}", elements, 4)

    def _attribute(self, stage: str, key: str, value: str | None) -> Element:
        def write() -> None:
            if not self._refused("key", owner):
                self._put(self.choices.choice([key, key, f'"{key}"']), owner)
            self._put(self.choices.choice([" = ", " = ", "   = ", "=", " : "]), owner)
            self._value(value, owner)

        owner = stage, key
        return owner, write

    def _value(self, value: str | None, owner: tuple[str, str] | None = None) -> None:
        if self._refused("value", owner):
            return
        if value is None or (value.isdigit() and self._sometimes()):
            self._put(value or "null", owner, is_value=True)
        else:
            self._put(f'"{value}"', owner, is_value=True)

    def _bracketed(self, brackets: str, elements: Sequence[Element], indentation: int) -> None:
        """Write a list or an object: in one line, or in lines that end with commas, or with line breaks alone."""
        lines = self._sometimes(2)
        commas = brackets == "[]" or not lines or self._sometimes(2)
        inner = indentation + 2
        self._put(brackets[0])
        self._end_lines(inner) if lines else self._blank()
        for place, (owner, write) in enumerate(elements):
            write()
            is_last = place == len(elements) - 1
            comma = (commas and not is_last) or (is_last and self._sometimes(3))
            if comma:
                self._blank(6)
                self._put(",", owner)
            if lines and (not commas or is_last or not self._sometimes(5)):
                self._end_lines(indentation if is_last else inner)
            else:
                self._blank()
        self._put(brackets[1])

    def _refused(self, kind: str, owner: tuple[str, str] | None = None) -> bool:
        """Write what the commands must refuse, once in some files."""
        if self.oddity != "refused" or self.file.refused is not None or not self._sometimes(6):
            return False
        self.file.refused = len(self.file.pieces)
        self._put(self.choices.choice(NOT_PLAIN[kind]), owner)
        return True

    def _blank(self, seldom: int = 3) -> None:
        self._put(self.choices.choice(["", " ", " ", "  ", "\t"]))
        if self._sometimes(2 * seldom):
            end = self.choices.choice(["*/", " */", "\n*/ "])
            self._put(f"/*{self.choices.choice(COMMENTS)}{end}")

    def _end_lines(self, indentation: int = 2) -> None:
        """End the line, perhaps with a comment, and write lines of comments and empty lines."""
        while True:
            self._put(self.choices.choice(["", "", " ", "\t"]))
            if self._sometimes(3):
                self._put(f"{self.choices.choice(['#', '//'])}{self.choices.choice(COMMENTS)}")
            elif self._sometimes(8):
                self._put(f"/*{self.choices.choice(COMMENTS)}\n */")
            self._put("\n")
            if not self._sometimes(6):
                break
        self._put(self.choices.choice([" " * indentation, " " * indentation, "", "\t"]))

    def _sometimes(self, seldom: int = 4) -> bool:
        return self.choices.randrange(seldom) == seldom - 1

    def _put(self, text: str, owner: tuple[str, str] | None = None, *, is_value: bool = False) -> None:
        self.file.pieces.append(Piece(text, owner, is_value))
