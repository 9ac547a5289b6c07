from __future__ import annotations

import pytest

from pathtolive import tables

ROWS = [
    {"stage": "dev", "version": "12", "weights": "", "reason": ""},
    {"stage": "live", "version": "4", "weights": "", "reason": "error rate 20 % is over 1 % " * 3},
]


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, *folded: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    tables.show(ROWS, folded=dict.fromkeys(folded, tables.SENTENCES))
    return capsys.readouterr().out.rstrip().split("\n")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_table_wraps_one_column_to_fit_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(monkeypatch, capsys, columns, "reason")
    assert lines[0].split() == ["stage", "version", "reason"]
    assert lines[2].split() == ["dev", "12", "-"]
    assert max(map(len, lines)) <= columns


def test_table_is_a_list_if_the_terminal_is_too_narrow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(monkeypatch, capsys, 80) == [
        *("stage   dev", "version 12", "reason  -"),
        *("", "stage   live", "version 4", f"reason  {ROWS[1]['reason']}".rstrip()),
    ]
    # One column narrower than the names, two values, and the narrowest reason.
    assert shown(monkeypatch, capsys, 35, "reason")[0] == "stage   dev"
    assert shown(monkeypatch, capsys, 36, "reason")[0].split() == ["stage", "version", "reason"]


def test_table_omits_columns_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not any("weights" in line for line in shown(monkeypatch, capsys, 200))
