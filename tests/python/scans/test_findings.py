"""Which findings are accepted, and what is accepted in vain."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from pathtolive.cli import CommandError
from pathtolive.scanning.findings import Accepted, Finding, accepted, remaining, unused

FOUND = Finding("plan", "CKV_AWS_158", 'module.stage["live"].aws_cloudwatch_log_group.access[0]', "No key")
KNOWN = Accepted(("plan", "checkov"), "CKV_AWS_158", ("module.stage.*",), "Encrypted anyway", says="^No")
TODAY = datetime.datetime.now(datetime.UTC).date()
YESTERDAY = TODAY - datetime.timedelta(days=1)


def test_finding_is_accepted_in_every_instance_of_a_resource() -> None:
    assert remaining([FOUND], [KNOWN]) == []


@pytest.mark.parametrize(("stage", "left"), [("live", []), ("test", [FOUND])])
def test_place_can_name_one_instance(stage: str, left: list[Finding]) -> None:
    known = dataclasses.replace(KNOWN, places=(f'module.*["{stage}"]*',))
    assert remaining([FOUND], [known]) == left


@pytest.mark.parametrize(
    "other",
    [
        {"scanners": ("bandit",)},
        {"rule": "CKV_AWS_15"},
        {"places": ("module.stage",)},
        {"says": "^key"},
        {"until": YESTERDAY},
    ],
    ids=lambda other: next(iter(other)),
)
def test_finding_is_accepted_only_if_each_part_of_the_entry_applies(other: dict[str, object]) -> None:
    assert remaining([FOUND], [dataclasses.replace(KNOWN, **other)]) == [FOUND]  # type: ignore[arg-type]


def test_each_place_of_each_scanner_must_have_a_finding() -> None:
    known = dataclasses.replace(KNOWN, places=("module.stage.*", "module.gone.*"))
    assert unused([FOUND], [known], {"plan"}) == ["plan CKV_AWS_158 module.gone.*"]
    assert unused([FOUND], [KNOWN], {"plan", "checkov"}) == ["checkov CKV_AWS_158 module.stage.*"]
    assert unused([], [KNOWN], {"bandit"}) == []


def test_entry_with_a_day_is_unused_only_after_it() -> None:
    assert unused([], [dataclasses.replace(KNOWN, until=TODAY)], {"plan"}) == []
    assert unused([FOUND], [dataclasses.replace(KNOWN, until=YESTERDAY)], {"plan"}) == [
        f"CKV_AWS_158 module.stage.*: until {YESTERDAY}"
    ]


ENTRY = '[[accepted]]\nscanners = ["bandit"]\nrule = "B101"\nplaces = ["x.py"]\n'


def test_entry_is_read_with_its_day(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f'{ENTRY}reason = "It asserts."\nuntil = 2026-12-24\n')
    (found,) = accepted(path)
    assert found == Accepted(("bandit",), "B101", ("x.py",), "It asserts.", until=datetime.date(2026, 12, 24))


@pytest.mark.parametrize("more", ["", 'reason = " "\n', 'reason = "So."\nuntli = 2026-12-24\n'])
def test_entry_without_a_reason_or_with_an_unknown_part_is_refused(tmp_path: Path, more: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(ENTRY + more)
    with pytest.raises(CommandError, match=r"accepted\.toml: .*(B101|reason|untli)"):
        accepted(path)
