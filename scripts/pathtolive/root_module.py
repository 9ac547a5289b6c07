"""The root module of a target: terraform/ itself, or an emulator's copy of it with pins of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from pathtolive import config_file, files, terraform_cli
from pathtolive.cli import ROOT
from pathtolive.target import SOURCE, Target

# The variables that make bootstrap sets.
BOOTSTRAPPED = "bootstrap.auto.tfvars"
# Terraform's own working files, and files that belong to one account.
NOT_MIRRORED = {".terraform", "config.tf", "bootstrap", "terraform.tfvars", BOOTSTRAPPED, terraform_cli.ERRORED}


def config(target: Target) -> config_file.Pins:
    """Return the config.tf of a target: an emulator has the stages of the repository, with its own pins."""
    if not target.endpoint:
        return config_file.read(target.config_file)
    source = config_file.read(SOURCE / "config.tf")
    source = source.without_versions()
    if not target.config_file.exists():
        return source
    own = config_file.read(target.config_file)
    layouts = [[(stage, pin.follows) for stage, pin in pins.stages.items()] for pins in (source, own)]
    return own if layouts[0] == layouts[1] else source.with_pins(own)


def copy(target: Target) -> None:
    """Update an emulator's copy of terraform/ and of the artifact, except for its config.tf."""
    _mirror(SOURCE, target.directory)
    built = ROOT / "dist" / "lambda.zip"
    if built.exists():
        files.write(target.artifact, built.read_bytes())


def _mirror(source: Path, destination: Path) -> None:
    destination.mkdir(parents=True, exist_ok=True)
    wanted = {path.name for path in source.iterdir()} - NOT_MIRRORED
    for path in destination.iterdir():
        if path.name not in wanted | NOT_MIRRORED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in wanted:
        if (source / name).is_dir():
            _mirror(source / name, destination / name)
        else:
            files.write(destination / name, (source / name).read_bytes())
