from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import botocore.exceptions
import pytest

from pathtolive import cli


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> cli.Parser:
    for name in ("STAGE", "RATE", "JSON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["scripts/load.py"])
    return cli.Parser("Send requests.")


def add(parser: cli.Parser) -> cli.Parser:
    parser.variable("--stage", "STAGE", example="live", help="the stage")
    parser.variable("--rate", "RATE", type=int, default=20, help="requests a second")
    parser.variable("--json", "JSON", action="store_true", help="print JSON")
    return parser


def test_cli_option_has_its_default_without_a_variable(parser: cli.Parser) -> None:
    found = add(parser).parse_args(["--stage", "live"])
    assert vars(found) == {"stage": "live", "rate": 20, "json": False}


def test_cli_option_has_the_value_of_its_variable(parser: cli.Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STAGE": "test", "RATE": "5", "JSON": "1"}.items():
        monkeypatch.setenv(name, value)
    assert vars(add(parser).parse_args([])) == {"stage": "test", "rate": 5, "json": True}


def test_cli_option_takes_precedence_over_its_variable(parser: cli.Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "test")
    assert add(parser).parse_args(["--stage", "live"]).stage == "live"


def test_cli_empty_variable_is_none(parser: cli.Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RATE", "JSON"):
        monkeypatch.setenv(name, "")
    found = add(parser).parse_args(["--stage", "live"])
    assert (found.rate, found.json) == (20, False)


def test_cli_variable_of_the_wrong_type_is_refused(
    parser: cli.Parser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RATE", "fast")
    with pytest.raises(SystemExit, match="2"):
        add(parser).parse_args(["--stage", "live"])
    assert "argument --rate: invalid int value: 'fast'" in capsys.readouterr().err


def test_cli_missing_value_names_the_command(parser: cli.Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        add(parser).parse_args([])
    assert "load.py: error: set STAGE, as in: make load STAGE=live" in capsys.readouterr().err


def test_cli_help_names_the_variables(parser: cli.Parser) -> None:
    assert "the stage [STAGE]" in add(parser).format_help()


def failing(error: BaseException) -> Callable[[], int]:
    def command() -> NoReturn:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (cli.CommandError("No."), 1, "No."),
        (cli.RefusedError("No."), 2, "No."),
        (cli.LostSightError("No."), 3, "No."),
        (cli.UnrecordedError("No."), 4, "No."),
        (botocore.exceptions.NoCredentialsError(), 1, "AWS request failed: Unable to locate credentials"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied"),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
)
def test_cli_error_has_an_exit_status_and_no_traceback(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(failing(error))
    assert ended.value.code == status
    assert capsys.readouterr().err.startswith(f"\n{said}")


def test_cli_bug_prints_one_sentence_and_writes_its_traceback_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "LOGS", tmp_path)
    with pytest.raises(SystemExit, match="1"):
        cli.main(failing(ZeroDivisionError("division by zero")))
    said = capsys.readouterr().err
    assert said.splitlines() == [
        "",
        "Unexpected error: ZeroDivisionError('division by zero')",
        f"This is a bug. Report it with {tmp_path / 'traceback.log'}",
    ]
    assert "Traceback (most recent call last)" in (tmp_path / "traceback.log").read_text()
