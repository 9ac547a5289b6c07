"""What users read keeps to the words of docs/glossary.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# One entry is one place: a file, or a pattern of files below the root of the repository.
PLACES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "terraform/**/*.tf",
    "terraform/**/*.tftpl",
    ".github/**/*.yml",
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

# Quotes around a whole word: it is a name, such as that of a resource.
QUOTED = {'"', "`", "'"}


def pattern(expression: str) -> re.Pattern[str]:
    """Compile a retired word. It may break over lines, of comments too, but is no part of a hyphenated name."""
    spaced = expression.replace(" ", r"(?:[ \t]+|[ \t]*\n[ \t]*(?:#[ \t]*)?)")
    return re.compile(rf"(?<![\w$-])(?:{spaced})(?![\w-])", re.IGNORECASE)


PATTERNS = [(pattern(expression), better) for expression, better in RETIRED.items()]


def retired(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the word, and the replacement of each retired word in a text."""
    for compiled, better in PATTERNS:
        for match in compiled.finditer(text):
            before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
            if before in QUOTED and before == after:
                continue
            yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].replace("#", "").split()), better


def files(place: str) -> list[Path]:
    """Return the files of a place, without those that Terraform installs there."""
    return sorted(path for path in ROOT.glob(place) if ".terraform" not in path.parts)


@pytest.mark.parametrize("place", PLACES)
def test_words_are_those_of_the_glossary(place: str) -> None:
    texts = {path.relative_to(ROOT): path.read_text() for path in files(place)}
    assert texts
    found = [
        f"{path}:{line}: '{word}' is retired. Write: {better}"
        for path, text in texts.items()
        for line, word, better in sorted(retired(text))
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
