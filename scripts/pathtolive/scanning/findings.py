"""What scanners find, and what of it is accepted: scans/accepted.toml."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathtolive.cli import ROOT, CommandError

ACCEPTED = ROOT / "scans" / "accepted.toml"
# Each instance of a resource, such as that of a stage, has the findings of the others, unless a place names one.
INDEX = re.compile(r'\[(?:\d+|"[^"]*")\]')


@dataclass(frozen=True)
class Finding:
    """A finding: of which scanner and rule, the file or the resource, and in words."""

    scanner: str
    rule: str
    place: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        return f"{self.scanner} {self.rule} {self.place}{line}: {self.text}"


@dataclass(frozen=True)
class Accepted:
    """A rule whose findings are accepted in some places, each a pattern, for a reason.

    ``says`` is a regular expression that the finding's text contains. ``until`` is the last day: for a change that a
    rule forbids, such as the removal of a stage.
    """

    scanners: tuple[str, ...]
    rule: str
    places: tuple[str, ...]
    reason: str
    says: str = ""
    until: datetime.date | None = None

    def applies(self, finding: Finding, place: str) -> bool:
        """Return whether this accepts a finding by one of its places."""
        return (
            finding.scanner in self.scanners
            and finding.rule == self.rule
            and _matches(place, finding.place)
            and re.search(self.says, finding.text) is not None
            and not self.expired
        )

    @property
    def expired(self) -> bool:
        """Whether the last day has passed."""
        return self.until is not None and self.until < datetime.datetime.now(datetime.UTC).date()


def accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """Return the accepted findings.

    Raises:
        CommandError: an entry lacks a part, or has an unknown one.
    """
    found = []
    for entry in tomllib.loads(path.read_text())["accepted"]:
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()
        }
        try:
            made = Accepted(**given)
        except TypeError as error:
            raise CommandError(f"{path.name}: {entry}: {error}") from error
        if not (made.scanners and made.places and made.reason.strip()):
            raise CommandError(f"{path.name}: {made.rule} needs scanners, places, and a reason")
        found.append(made)
    return found


def remaining(findings: Iterable[Finding], known: Collection[Accepted]) -> list[Finding]:
    """Return the findings that are not accepted."""
    return [
        finding
        for finding in findings
        if not any(each.applies(finding, place) for each in known for place in each.places)
    ]


def unused(findings: Collection[Finding], known: Collection[Accepted], scanners: Collection[str]) -> list[str]:
    """Return what is accepted in vain: what has expired, and what scanners that have run do not find in a place.

    A change that is accepted until a day need not have been planned yet.
    """
    expired = [f"{each.rule} {', '.join(each.places)}: until {each.until}" for each in known if each.expired]
    return expired + [
        f"{scanner} {each.rule} {place}"
        for each in known
        if each.until is None
        for scanner in each.scanners
        if scanner in scanners
        for place in each.places
        if not any(finding.scanner == scanner and each.applies(finding, place) for finding in findings)
    ]


def _matches(pattern: str, place: str) -> bool:
    """Return whether a pattern matches a place, with or without the indexes of a resource."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return any(re.fullmatch(expression, each) for each in (place, INDEX.sub("", place)))
