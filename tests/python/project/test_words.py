"""Documents, code, and tests use the words of docs/glossary.md."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# One entry is one place: a file, or a pattern of files below the root of the repository.
PLACES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "Makefile",
    "docs/*.md",
    "terraform/**/*.tf",
    "terraform/**/*.tftpl",
    "terraform/**/*.jsonata",
    ".github/**/*.yml",
    "scripts/**/*.py",
    "emulator/**/*.py",
    "lambda/**/*.py",
    "scans/*.toml",
    "scans/**/*.py",
    "tests/**/*.py",
]

# The retired words, as regular expressions for whole words, and what to write instead.
RETIRED = {
    # One name for one thing.
    r"embedded AWS": "local AWS",
    r"roll-backs?": "rollback (noun), roll back (verb)",
    r"time-outs?": "timeout",
    r"start-up": "startup",
    r"life-cycles?": "lifecycle",
    r"own figures": "metrics",
    r"the old version": "the previous version",
    r"the stage before": "the previous stage",
    r"what (?:a|the) stage (?:ran|runs)": "the active version, the previous version",
    r"one call in (?:a|one) hundred": "p99 duration",
    # States of a release.
    r"(?:AWS|it|nothing) does not run": "is not running",
    r"under way": "in progress",
    r"between versions": "a release is in progress",
    r"(?:go|goes|gone|went) well": "succeeded, completed",
    r"had not begun": "had not started",
    # Verbs.
    r"mend(?:s|ed|ing)?": "fix",
    r"(?:hear|hears|heard) (?:of|how|that)": "notify someone of, receive",
    r"(?:tell|tells|told) (?:of|how)": "notify of, print",
    r"see that": "verify that",
    r"(?:hold|holds|held) against": "compare with",
    # State names stay, and begin with a capital.
    r"(?-i:judge|judges|judged|judging)": "analyze",
    r"(?:go|goes|going|gone|went) on": "continue",
    r"bears? with": "handle, ignore",
    r"(?:take|takes|taken|took) back": "remove the weights, roll back",
    r"tried (?:on|again)": "retried",
    r"(?:give|gives|given) any right": "grant any permission",
    r"shall": "must, or the present tense",
    # Time, amounts, and conditions.
    r"at once": "immediately (time), all traffic in one step (amount)",
    r"from where on": "the threshold",
    r"where (?:it|nothing|something|that|there|they|this) (?:are|can|do|does|has|have|is|was|were)": "if, when",
    r"bad minutes?": "a period that breaches",
}

# The retired names of settings and errors, and the new names.
RETIRED_NAMES = {
    r"when[_-]inconclusive": "on_inconclusive",
    r"min[_-]calls": "min_invocations",
    r"ignore[_-]alarms": "ignore_alarms_reason",
    r"--extensions": "--max-extensions",
    r"ReleaseUnderWay": "ReleaseInProgress",
}

# Of Python code, only comments and strings are checked for words. Python 3.12 splits f-strings into tokens.
PROSE = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
STRING = re.compile(r"""^[a-z]*(?P<quotes>\"{3}|'{3}|"|')(?P<content>.*)(?P=quotes)$""", re.DOTALL | re.IGNORECASE)

# Quotes around a whole word: it is a name, such as that of a resource.
QUOTED = {'"', "`", "'"}


def pattern(expression: str) -> re.Pattern[str]:
    """Compile a retired word. It may break over lines, of comments too, but is no part of a hyphenated name."""
    spaced = expression.replace(" ", r"(?:[ \t]+|[ \t]*\n[ \t]*(?:#[ \t]*)?)")
    return re.compile(rf"(?<![\w$-])(?:{spaced})(?![\w-])", re.IGNORECASE)


PATTERNS = [(pattern(expression), better) for expression, better in RETIRED.items()]
NAME_PATTERNS = [(re.compile(rf"(?<!\w){name}(?![\w-])", re.I), better) for name, better in RETIRED_NAMES.items()]


def retired(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the word, and the replacement of each retired word in a text."""
    for compiled, better in PATTERNS:
        for match in compiled.finditer(text):
            before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
            if before in QUOTED and before == after:
                continue
            yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].replace("#", "").split()), better


def retired_names(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the name, and the new name of each retired name in a text."""
    for compiled, better in NAME_PATTERNS:
        for match in compiled.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, match[0], better


def prose(code: str) -> str:
    """Return the comments and strings of Python code, without quotes, in the lines that they have in the code."""
    lines = [""] * (code.count("\n") + 1)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type in PROSE:
            string = STRING.match(token.string)
            for number, line in enumerate((string["content"] if string else token.string).split("\n"), token.start[0]):
                lines[number - 1] += f" {line}"
    return "\n".join(lines)


def files(place: str) -> list[Path]:
    """Return the files of a place, except for those that Terraform installs, and this file, which lists the words."""
    return sorted(path for path in ROOT.glob(place) if ".terraform" not in path.parts and path != Path(__file__))


@pytest.mark.parametrize("place", PLACES)
def test_words_are_those_of_the_glossary(place: str) -> None:
    texts = {path.relative_to(ROOT): path.read_text() for path in files(place)}
    assert texts
    found = [
        f"{path}:{line}: '{word}' is retired. Write: {better}"
        for path, text in texts.items()
        for line, word, better in sorted(
            [*retired(prose(text) if path.suffix == ".py" else text), *retired_names(text)]
        )
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Start\nembedded AWS.", [(2, "embedded AWS", "local AWS")]),
        ("It started embedded\n  # AWS.", [(1, "embedded AWS", "local AWS")]),
        ('description = "Mends the alarm"', [(1, "Mends", "fix")]),
        ("the Roll-Back", [(1, "Roll-Back", RETIRED["roll-backs?"])]),
        ('name = "roll-back"', []),
        ('role = "greeter-release-roll-back"', []),
        ("error: ReleaseUnderWay", []),
        ("Next: Judge", []),
        ("They recommend local AWS.", []),
    ],
)
def test_retired_words_are_found_and_names_are_not(text: str, found: list[tuple[int, str, str]]) -> None:
    assert list(retired(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("min_calls: int | None", [(1, "min_calls", "min_invocations")]),
        ("`--min-calls`", [(1, "min-calls", "min_invocations")]),
        ('\n"IGNORE_ALARMS"', [(2, "IGNORE_ALARMS", "ignore_alarms_reason")]),
        ("ignore_alarms_reason, --ignore-alarms-reason", []),
    ],
)
def test_retired_names_are_found_and_new_names_are_not(text: str, found: list[tuple[int, str, str]]) -> None:
    assert list(retired_names(text)) == found


def test_prose_of_code_has_its_comments_and_strings() -> None:
    code = 'shall = 1  # One\nprint(\n    f"Two {shall} "\n    "three"\n)\n"""Four\n\nfive."""\n'
    lines = prose(code).split("\n")
    assert [line.strip() for line in lines if not line.startswith(" Two")] == [
        *("# One", "", "three", "", "Four", "", "five.", "")
    ]


def test_retired_words_are_found_in_strings_that_continue_in_the_next_line() -> None:
    assert [word for _, word, _ in retired(prose('print(\n    "Embedded "\n    "AWS"\n)\n'))] == ["Embedded AWS"]
