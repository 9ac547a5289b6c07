from __future__ import annotations

from pathlib import Path
from typing import Any

import hcl2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathtolive import config_file
from pathtolive.cli import CommandError
from pathtolive.stack import Stack
from pathtolive.target import Target

ROOT = Path(__file__).parents[3]

HAND_WRITTEN = """\
# Mind the comments.
locals {
  gateway_deployments = ["1"] # the first

  stages = {
    "dev" = {
      # follows
      function_version   = "newest"
      gateway_deployment = "newest" # always
    }
    live = {
      gateway_deployment = "1",
      function_version = "3" # since Monday
    }
    test = {}
  }
}
"""


@pytest.fixture
def hand_written() -> config_file.Pins:
    return config_file.Pins(HAND_WRITTEN, "config.tf")


def test_pins_read_the_config_of_the_repository() -> None:
    found = config_file.read(ROOT / "terraform" / "config.tf")
    assert list(found.stages) == ["dev", "test", "live"]
    assert found.stages["dev"] == config_file.Pin("newest", "newest")
    assert set(found.gateway_deployments) >= {pin.gateway_deployment for pin in found.stages.values()} - {"newest"}


def test_pins_read_quoted_keys_multiline_objects_and_defaults(hand_written: config_file.Pins) -> None:
    assert hand_written.stages == {
        "dev": config_file.Pin("newest", "newest"),
        "live": config_file.Pin("3", "1"),
        "test": config_file.Pin(None, "newest"),
    }


def test_pins_keep_all_other_text(hand_written: config_file.Pins) -> None:
    changed = hand_written.with_pin("live", config_file.Pin("12", "1"))
    assert changed.text == HAND_WRITTEN.replace('"3" # since', '"12" # since')


def test_pins_remove_a_version_with_its_line(hand_written: config_file.Pins) -> None:
    changed = hand_written.with_pin("dev", config_file.Pin(None, "newest"))
    assert "      # follows\n      gateway_deployment" in changed.text


def test_pins_add_a_version_in_a_line_like_the_next_one() -> None:
    text = HAND_WRITTEN.replace(
        "    test = {}", '    test = { # for the testers\n   \tgateway_deployment = "1",\n    }'
    )
    changed = config_file.Pins(text, "config.tf").with_pin("test", config_file.Pin("4", "1"))
    assert '{ # for the testers\n   \tfunction_version = "4",\n   \tgateway_deployment = "1",\n    }' in changed.text


def test_pins_read_only_locals_blocks() -> None:
    other = 'module "other" {\n  source = "./other"\n  stages = { live = { function_version = "9" } }\n}\n'
    assert config_file.Pins(other + HAND_WRITTEN, "config.tf").stages["live"].function_version == "3"


def test_pins_of_another_file_keep_the_gateway_deployments_of_new_stages() -> None:
    own = config_file.Pins(HAND_WRITTEN, "config.tf")
    new = HAND_WRITTEN.replace('["1"]', '["1", "2", "3"]').replace(
        "    live = {", '    qa = { gateway_deployment = "3" }\n    live = {'
    )
    merged = config_file.Pins(
        new.replace('"3" # since', '"8" # since').replace("test = {}", ""), "config.tf"
    ).with_pins(own)
    assert merged.gateway_deployments == ["1", "3"]
    assert merged.stages == {
        "dev": config_file.Pin("newest", "newest"),
        "qa": config_file.Pin(None, "3"),
        "live": config_file.Pin("3", "1"),
    }


def test_pins_add_values_to_an_empty_stage(hand_written: config_file.Pins) -> None:
    assert hand_written.with_pin("test", config_file.Pin("4", "1")).stages["test"] == config_file.Pin("4", "1")


def test_pins_list_the_stages_if_one_is_unknown(hand_written: config_file.Pins) -> None:
    with pytest.raises(CommandError, match=r"config\.tf has no stage 'prod'\. Name one of: dev, live, test"):
        hand_written.stage("prod")


def test_pins_change_gateway_deployments_and_keep_the_comment(hand_written: config_file.Pins) -> None:
    changed = hand_written.with_gateway_deployments(["1", "2"])
    assert changed.gateway_deployments == ["1", "2"]
    assert 'gateway_deployments = ["1", "2"] # the first\n' in changed.text


@pytest.mark.parametrize(("names", "following"), [([], "1"), (["1"], "2"), (["9", "10", "blue"], "11")])
def test_pins_number_the_next_gateway_deployment(
    hand_written: config_file.Pins, names: list[str], following: str
) -> None:
    assert hand_written.with_gateway_deployments(names).next_gateway_deployment() == following


def test_pins_without_versions_keep_stages_that_follow_the_newest(hand_written: config_file.Pins) -> None:
    versions = {stage: pin.function_version for stage, pin in hand_written.without_versions().stages.items()}
    assert versions == {"dev": "newest", "live": None, "test": None}


def test_pins_print_how_to_restore_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="git checkout"):
        config_file.read(tmp_path / "config.tf")


def test_pins_write_only_the_file(tmp_path: Path, hand_written: config_file.Pins) -> None:
    hand_written.write(tmp_path / "config.tf")
    assert [path.name for path in tmp_path.iterdir()] == ["config.tf"]
    assert (tmp_path / "config.tf").read_text() == HAND_WRITTEN


VERSIONS = st.none() | st.just("newest") | st.integers(1, 10**6).map(str)
DEPLOYMENTS = st.just("newest") | st.from_regex(r"[a-z0-9_.-]{1,12}", fullmatch=True)
PINS = st.builds(config_file.Pin, VERSIONS, DEPLOYMENTS)


@given(st.lists(st.tuples(st.sampled_from(["dev", "live", "test"]), PINS), max_size=6))
def test_pins_have_the_last_value_after_any_changes(changes: list[tuple[str, config_file.Pin]]) -> None:
    found = config_file.Pins(HAND_WRITTEN, "config.tf")
    expected = found.stages
    for stage, pin in changes:
        found = found.with_pin(stage, pin)
        expected = {**expected, stage: pin}
    assert found.stages == expected
    assert all(comment in found.text for comment in ("# Mind the comments.", "# the first", "# follows", "# always"))


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of texts that are parsed during the test."""
    texts: list[str] = []
    parse = hcl2.parses_to_tree

    def counted(text: str) -> Any:
        texts.append(text)
        return parse(text)

    monkeypatch.setattr(hcl2, "parses_to_tree", counted)
    return texts


def test_pins_parse_their_text_once(parses: list[str], hand_written: config_file.Pins) -> None:
    for stage in hand_written.stages:
        hand_written.stage(stage)
        assert hand_written.gateway_deployments == ["1"]
    assert parses == [HAND_WRITTEN]


def test_pins_do_not_rewrite_an_unchanged_file(parses: list[str], hand_written: config_file.Pins) -> None:
    for stage, pin in hand_written.stages.items():
        assert hand_written.with_pin(stage, pin) is hand_written
    assert hand_written.with_gateway_deployments(["1"]) is hand_written
    assert parses == [HAND_WRITTEN]


def test_pins_of_a_command_change_only_when_it_reads_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command uses the config.tf that it has read until it reads the file again to record a release."""
    monkeypatch.setattr(Target, "directory", tmp_path)
    here = Stack(Target(None, "eu-west-2"))
    (tmp_path / "config.tf").write_text(HAND_WRITTEN)
    assert here.config.stage("live").function_version == "3"
    edited = here.config.with_pin("live", config_file.Pin("4", "1"))
    edited.write(tmp_path / "config.tf")
    assert here.config.stage("live").function_version == "3"
    here.read_config_again()
    assert here.config.stage("live").function_version == "4"
    here.write(here.config.with_pin("live", config_file.Pin("5", "1")))
    assert here.config.stage("live").function_version == "5"
    assert '"5" # since Monday' in (tmp_path / "config.tf").read_text()
