"""Build the artifact that runs on Lambda: the same sources always give the same bytes.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pathtolive.files import write

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINT = "handler.py"
BUILD_INFO = "service/build_info.json"
SUFFIXES = (".py", ".json", ".txt")
BY_PRODUCTS = {"__pycache__"}
# These lead Git to another repository; Git sets some of them for hooks.
GIT_PLACES = {"GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE"}
# Every file system and every unzip writes these names in the same way.
PORTABLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)


class BuildError(Exception):
    """The artifact cannot be built; the message names the file, the reason, and the remedy."""


class SourceError(BuildError):
    """The sources are missing, do not compile, or contain files that do not belong in the artifact."""


class HistoryError(BuildError):
    """Git does not know the commit of the sources."""


@dataclass(frozen=True)
class BuildInfo:
    """The commit of the sources, as ``/build-info`` returns it.

    ``long`` and ``short`` name the last commit that changed the artifact, ``time`` is the time of the commit (UTC, RFC
    3339), ``modified`` is whether the sources differ from it.
    """

    type: str
    short: str
    long: str
    time: str
    modified: bool


@dataclass(frozen=True)
class Summary:
    """The result of a build. ``CodeSha256`` is as Lambda returns it, ``revision`` is None without build info.

    https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
    """

    path: str
    bytes: int
    CodeSha256: str
    revision: str | None
    modified: bool | None


def build(source: Path, output: Path) -> Summary:
    """Build the artifact of a directory. If nothing has changed, an existing artifact is not written again.

    Raises:
        SourceError: nothing was written.
        HistoryError: nothing was written.
    """
    files = read_sources(source)
    info = build_info(source, files)
    if info is not None:
        files = {**files, BUILD_INFO: (json.dumps(asdict(info), indent=2, sort_keys=True) + "\n").encode()}
    content = archive(files)
    write(output, content, mode=0o644)
    return Summary(
        path=str(output),
        bytes=len(content),
        CodeSha256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
        revision=info.long if info else None,
        modified=info.modified if info else None,
    )


def read_sources(source: Path) -> dict[str, bytes]:
    """Return the content of each file of the artifact, by its name there.

    Raises:
        SourceError: the handler is missing, a file does not compile, or a file does not belong in the artifact.
    """
    if not (source / ENTRY_POINT).is_file():
        raise SourceError(f"{source / ENTRY_POINT} is missing. Name the directory of the sources with --source")
    files = {}
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        content = path.read_bytes()
        if path.suffix == ".py":
            _compile(content, path)
        files[name] = content
    if BUILD_INFO in files:
        raise SourceError(f"{source / BUILD_INFO} is written by the build. Delete it.")
    return files


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise SourceError(f"{path} is a symbolic link. Replace it with a copy of its target.")
        if path.name in BY_PRODUCTS:
            continue
        if not PORTABLE_NAME.fullmatch(path.name):
            raise SourceError(
                f"{path} has a name with other characters than letters, digits, '_', '-', and '.'. Rename it."
            )
        if stat.S_ISDIR(mode):
            yield from _files(path)
        elif stat.S_ISREG(mode) and path.suffix in SUFFIXES:
            yield path
        else:
            raise SourceError(f"{path} does not belong in the artifact ({', '.join(SUFFIXES)}). Move it elsewhere.")


def _compile(content: bytes, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise SourceError(f"{path} does not compile: {error}") from error


def build_info(source: Path, files: Mapping[str, bytes]) -> BuildInfo | None:
    """Return the commit of the sources, or None if no commit has them.

    Raises:
        HistoryError: the repository cannot be read, or is a shallow clone.
    """
    directory = source.resolve()
    if not any((parent / ".git").exists() for parent in (directory, *directory.parents)):
        return None
    if _git(directory, "rev-parse", "--is-shallow-repository") == "true":
        raise HistoryError(
            "This is a shallow clone, which may lack the last commit that changed the sources. "
            "Get it with: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)"
        )
    if not _git(directory, "rev-parse", "--verify", "--quiet", "HEAD", may_fail=True):
        return None
    commit = _git(directory, "log", "-1", "--no-show-signature", "--format=%H %ct", "HEAD", "--", ".")
    if not commit:
        return None
    revision, seconds = commit.split()
    return BuildInfo(
        type="git",
        short=revision[:7],
        long=revision,
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds))),
        modified=_committed(directory) != {name: _blob(content, revision) for name, content in files.items()},
    )


def _committed(directory: Path) -> dict[str, str]:
    """Return the hash of each file that the last commit has in the directory, by its relative name."""
    entries = filter(None, _git(directory, "ls-tree", "-r", "-z", "HEAD", "--", ".").split("\0"))
    return {name: head.split()[2] for head, _, name in (entry.partition("\t") for entry in entries)}


def _blob(content: bytes, revision: str) -> str:
    """Return Git's hash of a file's content: SHA-1 or, if the hashes of commits are longer, SHA-256."""
    algorithm = hashlib.sha256 if len(revision) == 64 else hashlib.sha1
    return algorithm(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _git(directory: Path, *arguments: str, may_fail: bool = False) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in GIT_PLACES} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise HistoryError("git is not installed. Install it: the artifact contains its commit.") from error
    if done.returncode != 0 and not may_fail:
        raise HistoryError(f"'git {' '.join(arguments)}' failed: {done.stderr.strip()}")
    return done.stdout.strip()


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files: sorted, dated 1980-01-01, readable for everyone, not compressed.

    The bytes of DEFLATE differ between builds of zlib. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, OLDEST_DATE)
            entry.create_system = 3  # Unix, on every system: otherwise, unzip ignores modes
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            target.writestr(entry, files[name])
    return buffer.getvalue()
