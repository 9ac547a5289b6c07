"""What a job of the delivery pipeline has to do on its stage, which may have the version already, or a newer one."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pathtolive import build, remote, stack, stages, status, versions
from pathtolive.cli import CommandError
from pathtolive.release.control import Control

NEEDED, DONE, SUPERSEDED, REJECTED = "needed", "done", "superseded", "rejected"


@dataclass(frozen=True)
class Standing:
    """What there is to do, one of the constants above, and a sentence about it."""

    state: str
    sentence: str


def of_artifact(here: stack.Stack, stage: str) -> Standing:
    """Return whether a stage that follows the newest version needs the artifact.

    An artifact of an older configuration cannot be deployed any more.
    """
    infrastructure = of_infrastructure()
    if infrastructure.state == SUPERSEDED:
        return infrastructure
    commit = revision(here.target.artifact)
    active = stages.active(here).get(stage)
    if active is None or commit is None:
        return Standing(NEEDED, f"{stage} needs the artifact")
    found = status.commit(here.stage_url(stage), active.version)
    if found and found != commit and _is_ancestor(commit, found):
        return Standing(
            SUPERSEDED,
            f"Superseded: {stage} runs version {active.version} of commit {found[:7]}, which is newer than commit "
            f"{commit[:7]} of this artifact",
        )
    return Standing(NEEDED, f"{stage} runs version {active.version}. Next: commit {commit[:7]}")


def of_version(here: stack.Stack, stage: str, version: str, gateway_deployment: str, *, reason: str = "") -> Standing:
    """Return whether a stage needs a version and its routes. Lambda numbers versions in their order.

    A version that was rolled back from the stage is rejected there, unless there is a reason to bring it again.

    Raises:
        CommandError: the version is not a number, the stage is not deployed, or the version has another artifact.
    """
    if not version.isdigit():
        raise CommandError(f"VERSION={version} is not a version number. Use a number, such as VERSION=4")
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
    if not reason and version in Control(here, stage).rejected():
        return Standing(
            REJECTED,
            f"Rejected: version {version} was rolled back from {stage}. Push a fix, or start the workflow by hand, "
            "with a reason",
        )
    return Standing(NEEDED, f"{stage} runs version {active.version}. Next: version {version}")


def of_infrastructure() -> Standing:
    """Return whether the infrastructure of this commit is needed: the next commit that changes it includes it.

    Pins do not count, which the delivery pipeline itself pushes, but the stages in config.tf do.
    """
    remote.fetch()
    newer = remote.git(
        *("log", "-1", "--format=%h %s", f"HEAD..{remote.MAIN}", "--", "terraform", f":(exclude){remote.CONFIG}")
    ).strip()
    if newer:
        return Standing(SUPERSEDED, f"Superseded: main has a newer change of the infrastructure, commit {newer}")
    if remote.layout("HEAD") != remote.layout(remote.MAIN):
        return Standing(SUPERSEDED, "Superseded: main has other stages in config.tf")
    return Standing(NEEDED, "No newer commit on main changes the infrastructure")


def revision(artifact: Path) -> str | None:
    """Return the commit that an artifact was built from, or None if it was built without git.

    Raises:
        CommandError: the artifact does not exist.
    """
    if not artifact.exists():
        raise CommandError("There is no artifact. Build it with: make build")
    with zipfile.ZipFile(artifact) as archive:
        if build.BUILD_INFO not in archive.namelist():
            return None
        commit: str = json.loads(archive.read(build.BUILD_INFO))["long"]
        return commit


def _is_ancestor(commit: str, other: str) -> bool:
    """Return whether a commit is an ancestor of another. Return False if this clone lacks either of them."""
    try:
        remote.git("merge-base", "--is-ancestor", commit, other)
    except CommandError:
        return False
    return True
