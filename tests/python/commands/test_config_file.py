"""The commands read config.tf as Terraform does, and change only the bytes of a pin."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import random
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathtolive import config_file, terraform_cli
from pathtolive.cli import CommandError
from pathtolive.config_file import Pin, Pins
from pathtolive.toolchain import terraform as toolchain
from tests.conftest import ROOT, examples
from tests.python.commands.configs import File, Generator

FILES = 60
# The time of terraform console grows with the square of the number of modules.
MODULES = 100
# How a refusal begins.
LINE = r"config\.tf line (\d+): "


def terraform(*arguments: str, cwd: Path, given: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [str(toolchain.executable()), *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, input=given
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Formatter:
    """Terraform's format of many texts with one process: a text is added when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.answers: dict[str, str] = {}
        self.asked: dict[str, None] = {}
        # Whether every text that was asked for since this was set has an answer.
        self.knows_all = True

    def __call__(self, text: str) -> str:
        if text not in self.answers:
            self.asked[text] = None
            self.knows_all = False
        return self.answers.get(text, text)

    def run(self) -> None:
        """Format the texts that were asked for."""
        asked = list(self.asked)
        self.asked.clear()
        paths = [self.directory / f"{place}.tf" for place in range(len(asked))]
        for path, text in zip(paths, asked, strict=True):
            path.write_bytes(text.encode())
        terraform("fmt", "-no-color", "-list=false", cwd=self.directory)
        for path, text in zip(paths, asked, strict=True):
            self.answers[text] = path.read_bytes().decode()
            path.unlink()


def reading() -> str:
    """Return the part of terraform/main.tf that reads the pins."""
    main = (ROOT / "terraform" / "main.tf").read_text()
    values = re.findall(r"^  (?:configured|pins) = \{\n.*?^  \}\n", main, re.MULTILINE | re.DOTALL)
    assert len(values) == 2
    return (
        'variable "pins" {\n  default = {}\n}\n'
        f'locals {{\n  default_workspace = terraform.workspace == "default"\n{"".join(values)}}}\n'
        'output "read" {\n  value = [local.pins, [for name in local.gateway_deployments : tostring(name)]]\n}\n'
    )


def read_by_terraform(directory: Path, texts: Sequence[str]) -> list[tuple[dict[str, Pin], list[str]]]:
    """Return the pins and the names that terraform/main.tf reads in each text."""
    found = []
    for start in range(0, len(texts), MODULES):
        root, batch = directory / str(start), texts[start : start + MODULES]
        for place, text in enumerate(batch):
            module = root / f"m{place}"
            module.mkdir(parents=True)
            (module / "config.tf").write_bytes(text.encode())
            (module / "reading.tf").write_text(reading())
        calls = [f'module "m{place}" {{\n  source = "./m{place}"\n}}\n' for place in range(len(batch))]
        (root / "main.tf").write_text("".join(calls))
        terraform("init", "-no-color", cwd=root)
        wanted = ", ".join(f"module.m{place}.read" for place in range(len(batch)))
        said = terraform("console", cwd=root, given=f"jsonencode([{wanted}])\n")
        for pins, names in json.loads(json.loads(said)):
            found.append(({stage: Pin(**pin) for stage, pin in pins.items()}, names))
    return found


@dataclass(frozen=True)
class Edit:
    """A change of one value: a key of a stage, or the names of the gateway deployments."""

    stage: str = ""
    key: str = ""
    value: str | None = None
    names: Sequence[str] = ()

    def of(self, pins: Pins) -> Pins:
        """Return the changed pins."""
        if not self.stage:
            return pins.with_gateway_deployments(list(self.names))
        return pins.with_pin(self.stage, self.pin(pins.stage(self.stage)))

    def pin(self, before: Pin) -> Pin:
        """Return the changed pin."""
        return Pin(**{**dataclasses.asdict(before), self.key: self.value})

    def expected(self, file: File) -> tuple[dict[str, Pin], list[str]]:
        """Return the values that the changed file must have."""
        if not self.stage:
            return file.stages, list(self.names)
        return {**file.stages, self.stage: self.pin(file.stages[self.stage])}, file.gateway_deployments


def edits(file: File, choices: random.Random) -> list[Edit]:
    """Return edits of a file that change something."""
    names = file.gateway_deployments
    found = [Edit(names=choices.choice([[*names, "77"], [*names[:-1], "77"], names[:-1], [*names, "a", "b"]]))]
    for stage, pin in file.stages.items():
        version = choices.choice([value for value in (None, "newest", "7", "1234") if value != pin.function_version])
        deployment = choices.choice([value for value in ("newest", "1", "77") if value != pin.gateway_deployment])
        found += [
            Edit(stage, "function_version", version),
            Edit(stage, "gateway_deployment", deployment),
        ]
    return choices.sample(found, min(len(found), 2))


def visible(text: str) -> str:
    return re.sub(r"[\s\ufeff]", "", text)


def verify_other_bytes(file: File, edit: Edit, after: str) -> None:
    """Verify that an edit of a file that is not formatted changes only the bytes of the pin."""
    owner = edit.stage, edit.key
    places = [place for place, piece in enumerate(file.pieces) if edit.stage and piece.owner == owner]
    new = f'"{edit.value}"'
    if places and edit.value is not None:
        assert after == "".join(new if piece.is_value and piece.owner == owner else piece.text for piece in file.pieces)
        return
    if places:
        head = "".join(piece.text for piece in file.pieces[: places[0]])
        tail = "".join(piece.text for piece in file.pieces[places[-1] + 1 :])
        rest = "".join(piece.text for place, piece in enumerate(file.pieces) if place not in places)
        assert after.startswith(head.rstrip(" \t\r\n,"))
        assert after.endswith(tail.lstrip(" \t\r\n"))
        assert visible(after) in without_a_comma(visible(rest))
    elif edit.stage:
        start = next(place for place, (old, new) in enumerate(zip(file.text, after, strict=False)) if old != new)
        stop = start + len(after) - len(file.text)
        assert after[stop:] == file.text[start:]
        # The edges of an insertion can be ambiguous.
        assert f"{edit.key}={new}" in visible(after)
        assert sorted(visible(after[start:stop]).strip(",")) == sorted(f"{edit.key}={new}")
    if "\r" in file.text:
        assert not re.search(r"(?<!\r)\n", after)


def without_a_comma(text: str) -> set[str]:
    """Return a text, and each text that has one comma fewer."""
    return {text} | {text[: comma.start()] + text[comma.end() :] for comma in re.finditer(",", text)}


Values = tuple[dict[str, Pin], list[str]]


def read_by_commands(text: str) -> Values:
    pins = Pins(text, "config.tf")
    return dict(pins.stages), pins.gateway_deployments


def refusal(text: str) -> str:
    """Return why the commands refuse a text: one sentence that starts with its line."""
    with pytest.raises(CommandError) as refused:
        read_by_commands(text)
    assert re.fullmatch(r"config\.tf line \d+: [^\n]+[^.\n]", str(refused.value))
    return str(refused.value)


@dataclass(frozen=True)
class Change:
    """An edit of a file."""

    file: File
    edit: Edit

    def texts(self, formatter: Formatter) -> tuple[str, str]:
        """Return the edited file, and the file edited after it was formatted."""
        # Terraform moves some comments again when it formats its own format.
        formatted = formatter(formatter(self.file.text))
        after = self.edit.of(Pins(formatted, "config.tf")).text
        formatter(after)
        return self.edit.of(Pins(self.file.text, "config.tf")).text, after

    def verify(self, after: str, formatted_after: str, formatter: Formatter) -> None:
        """Verify the texts."""
        if formatter(self.file.text) != self.file.text:
            verify_other_bytes(self.file, self.edit, after)
        assert formatter(formatted_after) == formatted_after
        assert visible(formatted_after) == visible(after)


def verified_texts(changes: Sequence[Change], formatter: Formatter) -> list[tuple[str, Values]]:
    """Verify changes, and return their texts with the values that Terraform must read in them."""
    found: list[tuple[str, Values]] = []
    while changes:
        waiting = []
        for change in changes:
            formatter.knows_all = True
            texts = change.texts(formatter)
            if formatter.knows_all:
                change.verify(*texts, formatter)
                found += [(text, change.edit.expected(change.file)) for text in texts]
            else:
                waiting.append(change)
        changes = waiting
        formatter.run()
    return found


def verify_refusal(file: File) -> None:
    message = refusal(file.text)
    if file.refused is not None:
        assert message.startswith(f"config.tf line {file.line(file.refused)}: ")


def test_generated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[File] = []
    changes: list[Change] = []

    @settings(max_examples=examples(FILES), database=None)
    @given(st.randoms(use_true_random=False))
    def generate(choices: random.Random) -> None:
        files.append(file := Generator(choices).generate())
        changes.extend(Change(file, edit) for edit in edits(file, choices) if file.is_read)

    generate()
    formatter = Formatter(tmp_path)
    monkeypatch.setattr(terraform_cli, "formatted", formatter)
    found: list[tuple[str, Values]] = []
    for file in files:
        # Terraform refuses to format a file that is not valid.
        formatter(file.text)
        if file.is_read:
            assert read_by_commands(file.text) == (file.stages, file.gateway_deployments)
            found.append((file.text, (file.stages, file.gateway_deployments)))
        else:
            verify_refusal(file)
    formatter.run()
    found += verified_texts(changes, formatter)
    read = read_by_terraform(tmp_path, [text for text, _ in found])
    for (text, values), values_of_terraform in zip(found, read, strict=True):
        assert values == values_of_terraform, text


def config(stages: str, gateway_deployments: str = '["1"]') -> str:
    return f"locals {{\n  gateway_deployments = {gateway_deployments}\n  stages = {stages}\n}}\n"


OBJECT = "but the commands read only a plain object: write it as in docs/stages.md"
STRING = "but the commands read only a plain string: write it as in docs/stages.md"
REFUSED = {
    config('terraform.workspace == "eu" ? { live = { function_version = "9" } } : { live = {} }'): (
        f"line 3: stages is a conditional, {OBJECT}"
    ),
    config("merge({ dev = {} }, { live = {} })"): f"line 3: stages is a function call, {OBJECT}",
    config("{ for stage in [1] : stage => {} }"): f"line 3: stages is a for expression, {OBJECT}",
    config("local.others"): f"line 3: stages is a reference, {OBJECT}",
    config("var.stages[0]"): f"line 3: stages is a reference, {OBJECT}",
    config("({ live = {} })"): f"line 3: stages is an expression, {OBJECT}",
    config("[]"): f"line 3: stages is a list, {OBJECT}",
    config("{\n    live = null\n  }"): f"line 4: the stage live is null, {OBJECT}",
    config('{\n    live = "7"\n  }'): f"line 4: the stage live is a string, {OBJECT}",
    config('{ live = { function_version = "${7}" } }'): (
        f"line 3: function_version of live is a string with escapes or expressions, {STRING}"
    ),
    config('{ live = { function_version = "\\u0037" } }'): (
        f"line 3: function_version of live is a string with escapes or expressions, {STRING}"
    ),
    config('{ live = { function_version = "$${7}" } }'): (
        f"line 3: function_version of live is a string with escapes or expressions, {STRING}"
    ),
    config("{ live = { gateway_deployment = 007 } }"): f"line 3: gateway_deployment of live is a number, {STRING}",
    config('{ live = { function_version = ["7"] } }'): f"line 3: function_version of live is a list, {STRING}",
    config("{ live = { function_version = 7.5 } }"): f"line 3: function_version of live is a number, {STRING}",
    config("{ live = { function_version = 1 + 1 } }"): f"line 3: function_version of live is an expression, {STRING}",
    config("{\n    live = {\n      function_version = <<EOT\n7\nEOT\n    }\n  }"): (
        f"line 5: function_version of live is a heredoc, {STRING}"
    ),
    config('{ live = { function_version = "seven" } }'): (
        'line 3: function_version of live is "seven": write a version number or "newest"'
    ),
    config('{ live = { function_version = "" } }'): (
        'line 3: function_version of live is "": write a version number or "newest"'
    ),
    config("{ live = { gateway_deployment = null } }"): (
        "line 3: gateway_deployment of live is null: write a name in quotes"
    ),
    config('{ live = { ("function_version") = "7" } }'): (
        "line 3: a name in the stage live is an expression, but the commands read only plain names: "
        "write it as in docs/stages.md"
    ),
    config('{\n    live = {}\n    "live" = {}\n  }'): "line 5: stages has live a second time: delete one of them",
    config('{ live = { function_version = "1", function_version = "2" } }'): (
        "line 3: the stage live has function_version a second time: delete one of them"
    ),
    config("{}", 'concat(["1"], ["2"])'): (
        "line 2: gateway_deployments is a function call, but the commands read only a plain list: "
        "write it as in docs/stages.md"
    ),
    config("{}", '["1", var.name]'): f"line 2: a name in gateway_deployments is a reference, {STRING}",
    config("{}", '["1", null]'): "line 2: a name in gateway_deployments is null: write a name in quotes",
    config("{}") + config("{}"): "line 6: gateway_deployments is set a second time: delete one of them",
}
# Terraform accepts these files.
NOT_UNDERSTOOD = {
    config("{}\n  note = <<EOT\ntext\nEOT \n"): (
        "line 6: Terraform accepts spaces after EOT, which ends a heredoc, but the commands cannot read it: "
        "write EOT alone"
    ),
    config("{}\n  note = <<EOT\nEOT\t\n  more = <<EOT\nEOT\n"): (
        "line 4: Terraform accepts this heredoc, but the commands cannot read it: write a string in quotes"
    ),
    config('{ live = { function_version = /* since Monday */ "7" } }'): (
        "line 3: Terraform accepts a comment here, but the commands cannot read it: write it at the end of the line"
    ),
    config('{}\n  note = "$${"'): (
        "line 4: Terraform accepts an escaped ${ or %{ here, but the commands cannot read it: "
        "write the string without it"
    ),
    config("{}\n  été = 1"): (
        "line 4: Terraform accepts a name with letters other than a to z, but the commands cannot read it: "
        "write the name without them"
    ),
    config('{}\n  note = "${\n1\n}"'): (
        "line 4: Terraform accepts this expression, but the commands cannot read it: write it in another file"
    ),
}
NOT_VALID = {
    "locals {": "line 1 is not valid Terraform: Unclosed configuration block",
    config('{ live = { function_version = "7 } }'): "line 3 is not valid Terraform: Invalid multi-line string",
    config("{ live = }"): "line 3 is not valid Terraform: Invalid expression",
    "locals {\n  stages = {}\n": "line 1 is not valid Terraform: Unclosed configuration block",
}


@pytest.mark.parametrize(("text", "message"), [*REFUSED.items(), *NOT_UNDERSTOOD.items()])
def test_config_that_is_not_plain_is_refused_by_line_and_name(text: str, message: str) -> None:
    assert terraform_cli.formatted(text)
    assert refusal(text) == f"config.tf {message}"


@pytest.mark.parametrize(("text", "message"), NOT_VALID.items())
def test_config_that_terraform_refuses_has_its_reason(text: str, message: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_by_commands(text)
    assert str(refused.value) == f"config.tf {message}"


HAND_WRITTEN = (
    'locals{\r\ngateway_deployments=["1",\t"blue" ]  \r\n# A comment\n  stages={\r\n'
    '\tlive={"function_version" = "5" ,gateway_deployment:"1"} // since Monday \t\n\t/* and */ test = {  }}\n}'
)
ALIGNED = """\
locals {
  gateway_deployments = [
    "1", # the first routes
    # Added for /ping:
    "blue" # until August
  ]

  stages = {
    dev  = { function_version = "newest", gateway_deployment = "newest" } # always the newest
    live = { function_version = "9", gateway_deployment = "1" }           # since Monday
    test = {                                                              # for the testers
      # Ask Ann.
      gateway_deployment = "1" # see #12
    }
    "prod" = {
      owner              = "ann" # or Bob
      function_version   = "7"   # since Tuesday
      gateway_deployment = "1"   # since June
    }
    qa : { "function_version" : 12 /* pinned */, "gateway_deployment" : "1" }
  }
}
"""

# Each change, and the difference that it makes.
CHANGES: list[tuple[Edit, str]] = [
    (
        Edit("live", "function_version", "10"),
        """\
-    live = { function_version = "9", gateway_deployment = "1" }           # since Monday
+    live = { function_version = "10", gateway_deployment = "1" }          # since Monday""",
    ),
    (
        Edit("live", "function_version", "12345678901234567"),
        """\
-    dev  = { function_version = "newest", gateway_deployment = "newest" } # always the newest
-    live = { function_version = "9", gateway_deployment = "1" }           # since Monday
-    test = {                                                              # for the testers
+    dev  = { function_version = "newest", gateway_deployment = "newest" }       # always the newest
+    live = { function_version = "12345678901234567", gateway_deployment = "1" } # since Monday
+    test = {                                                                    # for the testers""",
    ),
    (
        Edit("live", "function_version", None),
        """\
-    live = { function_version = "9", gateway_deployment = "1" }           # since Monday
+    live = { gateway_deployment = "1" }                                   # since Monday""",
    ),
    (
        Edit("test", "function_version", "3"),
        """\
+      function_version = "3\"""",
    ),
    (
        Edit("prod", "function_version", "newest"),
        """\
-      owner              = "ann" # or Bob
-      function_version   = "7"   # since Tuesday
-      gateway_deployment = "1"   # since June
+      owner              = "ann"    # or Bob
+      function_version   = "newest" # since Tuesday
+      gateway_deployment = "1"      # since June""",
    ),
    (
        Edit("prod", "function_version", None),
        """\
-      owner              = "ann" # or Bob
-      function_version   = "7"   # since Tuesday
-      gateway_deployment = "1"   # since June
+      owner = "ann" # or Bob
+      # since Tuesday
+      gateway_deployment = "1" # since June""",
    ),
    (
        Edit("qa", "function_version", None),
        """\
-    qa : { "function_version" : 12 /* pinned */, "gateway_deployment" : "1" }
+    qa : { /* pinned */ "gateway_deployment" : "1" }""",
    ),
    (
        Edit(names=("1", "blue", "3")),
        """\
-    "blue" # until August
+    "blue", # until August
+    "3\"""",
    ),
]


STYLES = {
    "of the repository": (ROOT / "terraform" / "config.tf").read_text(),
    "aligned": ALIGNED,
    "of Windows": ALIGNED.replace("\n", "\r\n"),
    "without a format": HAND_WRITTEN,
    "of a JSON encoder": config(
        json.dumps({"live": {"function_version": "5", "gateway_deployment": "1"}, "dev": {}}, indent=2), '["1", "2"]'
    ),
    "with a file header": f"/*\n * Owned by the platform team.\n * locals {{ stages = {{}} }}\n */\n{ALIGNED}",
    "in several blocks": (
        'locals {\n  gateway_deployments = ["1"]\n}\n\nvariable "owner" {\n  default = "ann"\n}\n\nlocals {\n'
        "  team = <<-EOT\n    stages = {}\n  EOT\n  stages = {\n    dev = { owner = var.owner, team = local.team }\n"
        '    live = { function_version = 5, gateway_deployment = 1, tags = merge({}, { a = "}" }) }\n  }\n}\n'
    ),
}


def test_styles_are_read_as_terraform_reads_them(tmp_path: Path) -> None:
    texts = list(STYLES.values())
    assert [read_by_commands(text) for text in texts] == read_by_terraform(tmp_path, texts)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(("edit", "difference"), CHANGES)
def test_changes_of_a_formatted_file_keep_its_comments_and_its_format(
    tmp_path: Path, edit: Edit, difference: str, line_end: str
) -> None:
    path = tmp_path / "config.tf"
    path.write_bytes(ALIGNED.replace("\n", line_end).encode())
    edit.of(config_file.read(path)).write(path)
    after = path.read_bytes().decode()
    lines = difflib.unified_diff(ALIGNED.split("\n"), after.split(line_end), n=0, lineterm="")
    assert "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@"))) == difference
    assert terraform_cli.formatted(after) == after


@pytest.mark.parametrize(
    ("stages", "gateway_deployments", "edit"),
    [
        ("{}", '["1", /*\n*/ "2"]', Edit(names=["1"])),
        (
            '{\n    live = {\n      function_version = "7", gateway_deployment = "1"\n      x = 1\n    }\n  }',
            '["1"]',
            Edit("live", "function_version", None),
        ),
        (
            '{\n    live = {\n      gateway_deployment = "1",\n    }\n  }',
            '["1"]',
            Edit("live", "function_version", "7"),
        ),
        ("{ live = {} }", "[]", Edit(names=["1", "2"])),
        ("{\n    live = {} /* a */\n  }", '["1" /* b */]', Edit(names=["1", "2"])),
        ("{ live = {} }", "[]", Edit("live", "function_version", "7")),
        ('{ live = { function_version = "7" } }', "[]", Edit("live", "function_version", None)),
    ],
)
def test_changes_of_a_formatted_file_keep_its_format(stages: str, gateway_deployments: str, edit: Edit) -> None:
    before = terraform_cli.formatted(config(stages, gateway_deployments))
    after = edit.of(Pins(before, "config.tf")).text
    assert after != before
    assert terraform_cli.formatted(after) == after


@pytest.mark.parametrize("text", [HAND_WRITTEN, "\ufeff" + HAND_WRITTEN])
def test_changes_of_another_file_keep_all_its_other_bytes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.tf"
    path.write_bytes(text.encode())
    config_file.read(path).with_pin("live", Pin("7", "blue")).write(path)
    expected = text.replace('"5"', '"7"').replace(':"1"', ':"blue"')
    assert path.read_bytes().decode() == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("override.tf", "locals {\n  stages = {}\n}\n"),
        ("eu_override.tf", 'locals {\n  other = 1\n}\nlocals {\n  stages = { live = { function_version = "9" } }\n}\n'),
        ("override.tf.json", '{"locals": {"stages": {}}}'),
        ("eu_override.tf.json", '{"locals": [{"other": 1}, {"stages": {}}]}'),
        ("eu_override.tf.json", '[{"variable": {}}, {"locals": {"stages": {}}}]'),
    ],
)
def test_file_that_overrides_the_stages_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "config.tf").write_text(ALIGNED)
    (tmp_path / name).write_text(content)
    with pytest.raises(CommandError, match=rf"^{re.escape(name)} overrides stages: set it in config\.tf alone$"):
        config_file.read(tmp_path / "config.tf")


def test_other_override_files_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "config.tf").write_text(ALIGNED)
    (tmp_path / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    (tmp_path / "override.tf.json").write_text('{"variable": {"stages": {}}}')
    (tmp_path / "stages.tf").write_text("locals {\n  overridden = local.stages\n}\n")
    assert list(config_file.read(tmp_path / "config.tf").stages) == ["dev", "live", "test", "prod", "qa"]


def test_override_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.tf").write_text(ALIGNED)
    (tmp_path / "override.tf.json").write_text("{\n")
    with pytest.raises(
        CommandError, match=r"^override\.tf\.json line 2 is not valid Terraform: Expecting property name"
    ):
        config_file.read(tmp_path / "config.tf")


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.tf").write_bytes(b"locals {\n  # \xff\n}\n")
    with pytest.raises(CommandError, match=r"^config\.tf line 2 is not valid Terraform: Invalid character encoding$"):
        config_file.read(tmp_path / "config.tf")
