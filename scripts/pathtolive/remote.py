"""Git in a job of GitHub Actions: the branch main of the repository, and pins that are pushed to it."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pathtolive import config_file, recording
from pathtolive.cli import ROOT, CommandError, run

MAIN = "refs/remotes/origin/main"
CONFIG = "terraform/config.tf"
# With the pins of every stage that main does not record yet, if it is protected.
BRANCH = "pins"
PROPOSED = f"refs/remotes/origin/{BRANCH}"
ATTEMPTS = 10
# A branch that has moved, and one that another push has just locked.
MOVED = re.compile(
    r"\(fetch first\)|\(non-fast-forward\)|\(stale info\)|cannot lock ref|failed to update ref|incorrect old value"
)
# GH006 is a protected branch, GH013 a rule of the repository. Other servers refuse in a hook.
# https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/troubleshooting-required-status-checks
PROTECTED = re.compile(r"GH006|GH013|protected branch|\(pre-receive hook declined\)")
AUTHOR = {
    "GIT_AUTHOR_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
    "GIT_AUTHOR_NAME": "github-actions[bot]",
    "GIT_COMMITTER_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
    "GIT_COMMITTER_NAME": "github-actions[bot]",
}


class ProtectedError(CommandError):
    """The branch main accepts only pull requests."""


@dataclass(frozen=True)
class Pushed:
    """Where the pins of a stage are now: ``main``, ``pull request``, or ``unchanged`` on main; and a sentence."""

    place: str
    sentence: str


def git(*arguments: str, **environment: str) -> str:
    """Return the output of git; GITHUB_TOKEN, if set, is sent to GitHub and stays out of the command line.

    https://git-scm.com/docs/git-config#ENVIRONMENT

    Raises:
        CommandError: git failed.
    """
    given = os.environ | {"LC_ALL": "C"} | environment
    if token := os.environ.get("GITHUB_TOKEN"):
        header = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        given |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
            "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {header}",
        }
    return run(["git", *arguments], cwd=ROOT, env=given, quiet=True)


def fetch() -> None:
    """Update this clone's copy of main."""
    git("fetch", "--quiet", "--no-tags", "origin", f"+refs/heads/main:{MAIN}")


def push_pins(stage: str, ours: config_file.Pins) -> Pushed:
    """Record the pins of a config.tf, ``ours``, which a command has changed, on main.

    Those of other stages are recorded unless somebody has changed them since. The rest of main stays as it is there. If
    main is protected, this opens a pull request.

    Raises:
        CommandError: git failed, or main moved too often.
    """
    base = _read("HEAD")
    for attempt in range(ATTEMPTS):
        fetch()
        theirs, proposal = _read(MAIN), _proposal()
        merged = _merged(stage, base, ours, theirs)
        if merged.text == theirs.text and not proposal:
            return Pushed("unchanged", f"main records the pins of {stage}")
        try:
            if merged.text == theirs.text:
                return _propose(stage, base, ours, theirs, proposal)
            message = _described(theirs, merged)
            commit = _commit(merged, message)
            try:
                _push(commit, "main")
            except ProtectedError:
                return _propose(stage, base, ours, theirs, proposal)
        except CommandError as error:
            if not MOVED.search(str(error)):
                raise
            time.sleep(0.1 * 2 ** min(attempt, 5))
        else:
            return Pushed("main", f"Pushed the pins of {stage} to main: commit {commit[:7]}")
    raise CommandError(f"main moved {ATTEMPTS} times while the pins of {stage} were pushed. Run the job again.")


def layout(revision: str) -> list[tuple[str, bool]]:
    """Return the stages of a revision's config.tf, each with whether it follows the newest version."""
    return [(name, pin.function_version == config_file.NEWEST) for name, pin in _read(revision).stages.items()]


def _read(revision: str) -> config_file.Pins:
    return config_file.Pins(git("show", f"{revision}:{CONFIG}"), "config.tf")


def _merged(stage: str, base: config_file.Pins, ours: config_file.Pins, theirs: config_file.Pins) -> config_file.Pins:
    """Return the config.tf of main with the pins that this job changed."""
    after = theirs
    for name, pin in ours.stages.items():
        if name not in theirs.stages:
            continue
        # What a pinned stage runs is the last word, also if the job started from that pin.
        moved = name == stage and pin.function_version != config_file.NEWEST
        if moved or (pin != base.stages.get(name) and theirs.stages[name] == base.stages.get(name)):
            after = recording.with_pin(after, name, pin)
    names = [name for name in ours.gateway_deployments if name not in after.gateway_deployments]
    return after.with_gateway_deployments([*after.gateway_deployments, *names]) if names else after


def _described(before: config_file.Pins, after: config_file.Pins) -> str:
    """Return the subject of a commit, such as ``Pin test to version 6, routes 2``."""
    changed = [
        f"{stage} to version {pin.function_version}, routes {pin.gateway_deployment}"
        for stage, pin in after.stages.items()
        if pin != before.stages.get(stage)
    ]
    return f"Pin {'; '.join(changed)}" if changed else "Name the newest routes"


def _commit(pins: config_file.Pins, message: str) -> str:
    """Return a commit on top of main with another config.tf; the working tree and its index stay as they are."""
    with tempfile.TemporaryDirectory() as directory:
        path, index = Path(directory) / "config.tf", {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        path.write_text(pins.text)
        blob = git("hash-object", "-w", "--path", CONFIG, str(path)).strip()
        git("read-tree", MAIN, **index)
        git("update-index", "--cacheinfo", f"100644,{blob},{CONFIG}", **index)
        tree = git("write-tree", **index).strip()
    return git("commit-tree", tree, "-p", MAIN, "-m", message, **AUTHOR).strip()


def _push(commit: str, branch: str, *options: str) -> None:
    try:
        git("push", "--quiet", *options, "origin", f"{commit}:refs/heads/{branch}")
    except CommandError as error:
        if PROTECTED.search(str(error)):
            raise ProtectedError(str(error)) from error
        raise


def _proposal() -> str:
    """Return the commit of the branch with the pins that main does not record yet; empty if there is none."""
    if not git("ls-remote", "origin", f"refs/heads/{BRANCH}"):
        return ""
    git("fetch", "--quiet", "--no-tags", "origin", f"+refs/heads/{BRANCH}:{PROPOSED}")
    return git("rev-parse", PROPOSED).strip()


def _propose(
    stage: str, base: config_file.Pins, ours: config_file.Pins, theirs: config_file.Pins, proposal: str
) -> Pushed:
    """Open a pull request with the pins of a stage, or update the one that is open, which can have other stages, too.

    If main has all of them, the branch is deleted, which closes the pull request.
    """
    head = ["--head", BRANCH, "--base", "main"]
    listed = json.loads(_gh("pr", "list", *head, "--state", "open", "--json", "url,isCrossRepository"))
    # A fork can have a branch of the same name.
    url = next((each["url"] for each in listed if not each["isCrossRepository"]), "")
    # Without an open pull request, the branch is left of one that was merged or closed.
    known = theirs
    if url and proposal:
        known = _merged("", _read(git("merge-base", MAIN, proposal).strip()), _read(proposal), theirs)
    merged = _merged(stage, base, ours, known)
    lease = f"--force-with-lease=refs/heads/{BRANCH}:{proposal}"
    if merged.text == theirs.text:
        git("push", "--quiet", lease, "origin", f":refs/heads/{BRANCH}")
        return Pushed("unchanged", f"main records the pins of {stage}")
    message = _described(theirs, merged)
    # After a push, the pull request needs its checks again.
    if not (url and proposal) or merged.text != _read(proposal).text:
        _push(_commit(merged, message), BRANCH, lease)
    if not url:
        body = (
            "main is protected, so the delivery pipeline cannot push the pins. Merge this pull request to record the "
            "active versions on main."
        )
        try:
            url = _gh("pr", "create", *head, "--title", message, "--body", body)
        except CommandError as error:
            raise CommandError(
                f"{error}\nUnder Settings > Actions > General, select *Allow GitHub Actions to create and approve pull "
                "requests*, and run the job again."
            ) from error
    return Pushed("pull request", f"main is protected. A pull request records the pins of {stage}: {url}")


def _gh(*arguments: str) -> str:
    """Return the output of GitHub's command line, which reads GITHUB_TOKEN."""
    return run(["gh", *arguments], cwd=ROOT, quiet=True).strip()
