"""What a job of the delivery pipeline has to do on its stage, which may have the version already, or a newer one."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pathtolive import build, remote, stack, stages, status, versions
from pathtolive.cli import CommandError

NEEDED, DONE, SUPERSEDED = "needed", "done", "superseded"


@dataclass(frozen=True)
class Standing:
    """What there is to do, one of the constants above, and a sentence about it."""

    state: str
    sentence: str


def of_artifact(here: stack.Stack, stage: str) -> Standing:
    """Return whether a stage that follows the newest version needs the artifact."""
    commit = revision(here.target.artifact)
    active = stages.active(here).get(stage)
    if active is None or commit is None:
        return Standing(NEEDED, f"{stage} needs the artifact")
    found = (status.revision(here.stage_url(stage), active.version) or "").partition("-")[0]
    if found and found != commit and _is_ancestor(commit, found):
        return Standing(
            SUPERSEDED,
            f"Superseded: {stage} runs version {active.version} of commit {found[:7]}, which is newer than commit "
            f"{commit[:7]} of this artifact",
        )
    return Standing(NEEDED, f"{stage} runs version {active.version}, and can get commit {commit[:7]}")


def of_version(here: stack.Stack, stage: str, version: str, gateway_deployment: str) -> Standing:
    """Return whether a stage needs a version and its routes. Lambda numbers versions in their order."""
    active = stages.active(here).get(stage)
    if active is None:
        raise CommandError(f"{stage} is not deployed. Deploy it with: make build deploy{here.target.make_variables}")
    if int(active.version) > int(version):
        return Standing(
            SUPERSEDED, f"Superseded: {stage} runs version {active.version}, which is newer than version {version}"
        )
    versions.refuse_other_code(here, version)
    if active.version == version and not active.weights and active.gateway_deployment == gateway_deployment:
        return Standing(DONE, f"{stage} runs version {version}")
    return Standing(NEEDED, f"{stage} runs version {active.version}, and can get version {version}")


def of_infrastructure() -> Standing:
    """Return whether the infrastructure of this commit is needed: the next commit that changes it includes it."""
    remote.fetch()
    newer = remote.git(
        *("log", "-1", "--format=%h %s", f"HEAD..{remote.MAIN}", "--", "terraform", f":(exclude){remote.CONFIG}")
    ).strip()
    if newer:
        return Standing(SUPERSEDED, f"Superseded: main has a newer change of the infrastructure, commit {newer}")
    return Standing(NEEDED, "No newer commit on main changes the infrastructure")


def revision(artifact: Path) -> str | None:
    """Return the commit that an artifact was built from, or None if it was built without git."""
    with zipfile.ZipFile(artifact) as archive:
        if build.BUILD_INFO not in archive.namelist():
            return None
        commit: str = json.loads(archive.read(build.BUILD_INFO))["long"]
        return commit


def _is_ancestor(commit: str, other: str) -> bool:
    """Return whether a commit is an ancestor of another, which is False if this clone does not have both."""
    try:
        remote.fetch()
        remote.git("merge-base", "--is-ancestor", commit, other)
    except CommandError:
        return False
    return True
