"""The artifact is reproducible, contains only the service, and is never incomplete."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathtolive import build
from tests.conftest import ROOT, examples

SCRIPT = ROOT / "scripts" / "build.py"
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
FILES = st.dictionaries(
    st.builds(lambda folders, name: "/".join([*folders, f"{name}.txt"]), st.lists(NAMES, max_size=2), NAMES),
    st.binary(max_size=50),
    max_size=6,
)


class Project:
    """A repository with sources in ``lambda/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path / "lambda"
        self.output = path / "dist" / "lambda.zip"
        self.write("lambda/handler.py", "def handler(event, context):\n    return {}\n")
        self.write("lambda/service/__init__.py", "")
        self.write("README.md", "# Project\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.first = self.commit("Begin")

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        environment = os.environ | {"GIT_COMMITTER_DATE": "2026-01-02T03:04:05+09:00"}
        command = ["git", *identity, *arguments]
        return subprocess.check_output(command, cwd=self.path, env=environment, text=True).strip()

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def build(self) -> build.Summary:
        return build.build(self.source, self.output)

    def run(
        self, *arguments: str, python: str = sys.executable, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, SCRIPT, "--source", self.source, "--output", self.output, *arguments],
            cwd=self.path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def info(self) -> dict[str, Any]:
        with zipfile.ZipFile(self.output) as archive:
            info: dict[str, Any] = json.loads(archive.read(build.BUILD_INFO))
        return info


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


class TestSameBytes:
    @pytest.mark.parametrize(
        "environment",
        [
            {"TZ": "Pacific/Kiritimati"},
            {"TZ": "America/St_Johns"},
            {"LC_ALL": "C"},
            {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
            {"LANGUAGE": "de"},
            {"PYTHONHASHSEED": "7"},
            {"PYTHONUTF8": "0", "LC_ALL": "POSIX"},
            {"SOURCE_DATE_EPOCH": "1"},
            {"GIT_DIR": "/nowhere"},
        ],
        ids=str,
    )
    def test_do_not_depend_on_the_environment(self, project: Project, environment: dict[str, str]) -> None:
        expected = self.bytes_of(project)
        project.output.unlink()
        done = project.run(**environment)
        assert done.returncode == 0, done.stderr
        assert project.output.read_bytes() == expected

    @settings(max_examples=examples(25))
    @given(seconds=st.integers(0, 2**32), mode=st.integers(0, 0o777).map(lambda mode: mode | 0o400))
    def test_do_not_depend_on_times_and_modes(
        self, tmp_path_factory: pytest.TempPathFactory, seconds: int, mode: int
    ) -> None:
        source = tmp_path_factory.mktemp("source")
        shutil.copytree(SCRIPT.parent.parent / "lambda", source / "lambda")
        expected = build.archive(build.read_sources(source / "lambda"))
        for path in (source / "lambda").rglob("*"):
            if path.is_file():
                path.chmod(mode)
            os.utime(path, (seconds, seconds))
        assert build.archive(build.read_sources(source / "lambda")) == expected

    def test_do_not_depend_on_the_clock(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = self.bytes_of(project)
        project.output.unlink()
        monkeypatch.setattr(time, "time", lambda: 4_102_444_800.0)
        monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(4_102_444_800))
        assert self.bytes_of(project) == expected

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_do_not_depend_on_the_umask(self, project: Project, umask: int) -> None:
        expected = self.bytes_of(project)
        project.output.unlink()
        before = os.umask(umask)
        try:
            assert self.bytes_of(project) == expected
        finally:
            os.umask(before)
        assert stat.S_IMODE(project.output.stat().st_mode) == 0o644

    def test_do_not_depend_on_the_path_and_the_working_directory(
        self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = self.bytes_of(project)
        other = tmp_path / "an öther place"
        project.git("clone", "--quiet", str(project.path), str(other))
        monkeypatch.chdir(other / "lambda")
        build.build(Path(), Path("../lambda.zip"))
        assert (other / "lambda.zip").read_bytes() == expected

    @settings(max_examples=examples(25))
    @given(files=FILES, shuffler=st.randoms(use_true_random=False))
    def test_do_not_depend_on_the_order_of_listing(
        self, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], shuffler: random.Random
    ) -> None:
        source = tmp_path_factory.mktemp("source")
        (source / "handler.py").write_text("")
        for name, content in files.items():
            file = source / name
            if not any(parent.is_file() for parent in file.parents) and not file.is_dir():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        expected = build.archive(build.read_sources(source))
        listed = Path.iterdir

        def shuffled(path: Path) -> list[Path]:
            entries = list(listed(path))
            shuffler.shuffle(entries)
            return entries

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "iterdir", shuffled)
            assert build.archive(build.read_sources(source)) == expected

    @settings(max_examples=examples(25))
    @given(files=FILES, shuffler=st.randoms(use_true_random=False))
    def test_do_not_depend_on_the_order_of_reading(self, files: dict[str, bytes], shuffler: random.Random) -> None:
        names = list(files)
        shuffler.shuffle(names)
        assert build.archive({name: files[name] for name in names}) == build.archive(files)

    def test_do_not_depend_on_the_version_of_python(self, project: Project) -> None:
        expected = self.bytes_of(project)
        found = {str(Path(python).resolve()) for python in pythons()}
        assert found
        for python in sorted(found):
            project.output.unlink()
            done = project.run(python=python)
            assert done.returncode == 0, (python, done.stderr)
            assert project.output.read_bytes() == expected, python

    def test_headers_have_the_specified_bytes(self, project: Project) -> None:
        """https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3."""
        content = self.bytes_of(project)
        with zipfile.ZipFile(project.output) as archive:
            entries = archive.infolist()
        assert [entry.filename for entry in entries] == ["handler.py", "service/__init__.py", "service/build_info.json"]
        for entry in entries:
            local = struct.unpack("<4s5H3L2H", content[entry.header_offset : entry.header_offset + 30])
            name = entry.filename.encode()
            # Needs 2.0, no flags, stored, midnight of 1980-01-01, no extra field.
            assert local[:6] == (b"PK\3\4", 20, 0, 0, 0, 0x21)
            assert local[6:] == (entry.CRC, entry.file_size, entry.file_size, len(name), 0)
        central = content[struct.unpack("<L", content[-6:-2])[0] :]
        for entry in entries:
            fields = struct.unpack("<4s6H3L5H2L", central[:46])
            # Made by 2.0 on Unix, no extra field, no comment, disk 0, no internal attributes, -rw-r--r--.
            assert fields[:7] == (b"PK\1\2", 20 | 3 << 8, 20, 0, 0, 0, 0x21)
            assert fields[10:16] == (len(entry.filename), 0, 0, 0, 0, 0o100644 << 16)
            central = central[46 + len(entry.filename) :]
        assert struct.unpack("<4s4H2LH", central)[:5] == (b"PK\5\6", 0, 0, 3, 3)
        assert central[-2:] == b"\0\0"

    def test_have_a_known_digest(self) -> None:
        content = build.archive({"handler.py": b"def handler(event, context):\n    return {}\n", "b.txt": b"b\n"})
        assert hashlib.sha256(content).hexdigest() == "57da0ff35907926314143163df6e287afc6dfb346b18ca1821f86b5fd2e8540c"

    @staticmethod
    def bytes_of(project: Project) -> bytes:
        project.build()
        return project.output.read_bytes()


def pythons() -> list[str]:
    """Every Python 3.11 or newer in reach: on the PATH and of pyenv; at least the one that runs the tests."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    found = [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for name in names for path in pyenv.glob(f"*/bin/{name}")]

    def runs(python: str) -> bool:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0

    return [sys.executable, *filter(runs, found)]


class TestBuildInfo:
    def test_has_the_last_commit_of_the_sources(self, project: Project) -> None:
        summary = project.build()
        assert project.info() == {
            "type": "git",
            "short": project.first[:7],
            "long": project.first,
            "time": "2026-01-01T18:04:05Z",
            "modified": False,
        }
        assert (summary.revision, summary.modified) == (project.first, False)

    def test_commit_of_other_files_does_not_change_the_artifact(self, project: Project) -> None:
        before = project.build()
        written = project.output.stat()
        project.write("README.md", "# Changed\n")
        project.write("scripts/tool.py", "")
        project.commit("Write docs")
        assert project.build() == before
        assert project.output.stat().st_mtime_ns == written.st_mtime_ns
        assert project.output.stat().st_ino == written.st_ino

    def test_commit_of_the_sources_changes_the_artifact(self, project: Project) -> None:
        before = project.build()
        project.write("lambda/service/new.py", "A = 1\n")
        revision = project.commit("Add a file")
        after = project.build()
        assert after.revision == revision != before.revision
        assert after.CodeSha256 != before.CodeSha256

    @pytest.mark.parametrize("stage", [False, True], ids=["in the working tree", "in the index"])
    @pytest.mark.parametrize("change", ["edit", "add", "delete"])
    def test_marks_sources_that_differ_from_the_commit(self, project: Project, change: str, stage: bool) -> None:
        if change == "delete":
            (project.source / "service/__init__.py").unlink()
        else:
            project.write("lambda/handler.py" if change == "edit" else "lambda/new.py", "A = 1\n")
        if stage:
            project.git("add", "--all")
        assert project.build().modified is True
        assert project.info()["modified"] is True

    def test_ignores_bytecode_and_docs(self, project: Project) -> None:
        project.write("lambda/__pycache__/handler.cpython-311.pyc", "bytecode")
        project.write("README.md", "# Changed\n")
        assert project.build().modified is False
        with zipfile.ZipFile(project.output) as archive:
            assert not [name for name in archive.namelist() if "pycache" in name]

    def test_is_left_out_without_git(self, project: Project) -> None:
        shutil.rmtree(project.path / ".git")
        summary = project.build()
        assert (summary.revision, summary.modified) == (None, None)
        with zipfile.ZipFile(project.output) as archive:
            assert build.BUILD_INFO not in archive.namelist()

    def test_is_left_out_before_the_first_commit(self, project: Project) -> None:
        shutil.rmtree(project.path / ".git")
        project.git("init", "--quiet")
        assert project.build().revision is None

    def test_is_left_out_if_no_commit_has_the_sources(self, project: Project) -> None:
        other = project.path / "other"
        other.mkdir()
        (other / "handler.py").write_text("")
        assert build.build(other, project.output).revision is None

    def test_works_in_a_linked_worktree(self, project: Project, tmp_path: Path) -> None:
        project.build()
        project.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
        build.build(tmp_path / "linked/lambda", tmp_path / "lambda.zip")
        assert (tmp_path / "lambda.zip").read_bytes() == project.output.read_bytes()

    def test_works_in_a_sha256_repository(self, tmp_path: Path) -> None:
        (tmp_path / "lambda").mkdir()
        (tmp_path / "lambda/handler.py").write_text("")
        git = ["git", "-C", str(tmp_path), "-c", "user.name=Test", "-c", "user.email=test@example.com"]
        subprocess.run([*git, "init", "--quiet", "--object-format=sha256"], check=True)
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", "Begin"], check=True)
        summary = build.build(tmp_path / "lambda", tmp_path / "lambda.zip")
        assert len(summary.revision or "") == 64
        assert summary.modified is False

    def test_refuses_a_shallow_clone(self, project: Project, tmp_path: Path) -> None:
        project.write("README.md", "# Changed\n")
        project.commit("Write docs")
        shallow = tmp_path / "shallow"
        project.git("clone", "--quiet", "--depth", "1", project.path.as_uri(), str(shallow))
        with pytest.raises(build.HistoryError, match="git fetch --unshallow"):
            build.build(shallow / "lambda", project.output)
        assert not project.output.exists()

    def test_refuses_a_repository_that_cannot_be_read(self, project: Project) -> None:
        (project.path / ".git/HEAD").write_text("nonsense")
        with pytest.raises(build.HistoryError, match="rev-parse"):
            project.build()

    def test_reports_missing_git(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(build.HistoryError, match="Install it: the artifact"):
            project.build()


class TestRefused:
    @pytest.fixture(autouse=True)
    def _older_artifact(self, project: Project) -> None:
        project.output.parent.mkdir()
        project.output.write_bytes(b"older")

    def refuse(self, project: Project, message: str) -> None:
        done = project.run()
        assert done.returncode == 1
        assert message in done.stderr
        assert done.stderr.endswith("The artifact was not changed.\n")
        assert "Traceback" not in done.stderr
        assert project.output.read_bytes() == b"older"
        assert list(project.output.parent.iterdir()) == [project.output]

    def test_missing_sources(self, project: Project) -> None:
        shutil.rmtree(project.source)
        self.refuse(project, "handler.py is missing. Name the directory of the sources with --source")

    @pytest.mark.parametrize("code", ["def handler(:\n", "return 1\n", "a = '\0'\n"])
    def test_source_that_does_not_compile(self, project: Project, code: str) -> None:
        project.write("lambda/service/broken.py", code)
        self.refuse(project, "broken.py does not compile")

    @pytest.mark.parametrize("name", ["library.so", "handler.pyc", "Makefile", "notes.md", "script.sh"])
    def test_file_that_the_artifact_cannot_contain(self, project: Project, name: str) -> None:
        project.write(f"lambda/{name}", "")
        self.refuse(project, f"{name} does not belong in the artifact (.py, .json, .txt). Move it elsewhere")

    @pytest.mark.parametrize("name", [".env", ".DS_Store", "ä.txt", "a b.txt", "a~.py"])
    def test_file_name_that_is_not_portable(self, project: Project, name: str) -> None:
        project.write(f"lambda/{name}", "")
        self.refuse(project, "Rename it")

    @pytest.mark.parametrize("target", ["handler.py", "service", "/etc/passwd", "nowhere"])
    def test_symbolic_link(self, project: Project, target: str) -> None:
        (project.source / "link.py").symlink_to(target)
        self.refuse(project, "link.py is a symbolic link. Replace it with a copy of its target")

    def test_pipe(self, project: Project) -> None:
        os.mkfifo(project.source / "pipe.txt")
        self.refuse(project, "pipe.txt does not belong in the artifact")

    def test_build_info_in_the_sources(self, project: Project) -> None:
        project.write(f"lambda/{build.BUILD_INFO}", "{}")
        self.refuse(project, "is written by the build. Delete it.")


class TestInterrupted:
    # Waits at the moment that its argument names, with all of the new artifact written or none of it.
    SLOW = """
import os, sys, time
import build
def wait(*arguments):
    print("here", flush=True)
    time.sleep(60)
setattr(os, sys.argv.pop(1), wait)
sys.exit(build.main(sys.argv[1:]))
"""

    @pytest.mark.parametrize("moment", ["fchmod", "fsync", "replace"])
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
    def test_previous_artifact_stays_complete(self, project: Project, moment: str, number: signal.Signals) -> None:
        project.output.parent.mkdir()
        project.output.write_bytes(b"older")
        process = subprocess.Popen(
            [sys.executable, "-c", self.SLOW, moment, "--source", project.source, "--output", project.output],
            env={**os.environ, "PYTHONPATH": str(SCRIPT.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with process:
            assert process.stdout
            assert process.stdout.readline() == "here\n"
            process.send_signal(number)
        assert process.returncode != 0
        assert project.output.read_bytes() == b"older"
        if number != signal.SIGKILL:
            assert list(project.output.parent.iterdir()) == [project.output]
        project.build()
        assert zipfile.ZipFile(project.output).testzip() is None


class TestCommand:
    def test_json_describes_the_artifact(self, project: Project) -> None:
        summary = json.loads(project.run("--json").stdout)
        content = project.output.read_bytes()
        assert summary == {
            "path": str(project.output),
            "bytes": len(content),
            "CodeSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "revision": project.first,
            "modified": False,
        }

    def test_text_describes_the_artifact_in_one_line(self, project: Project) -> None:
        assert f"bytes, commit {project.first[:7]}, CodeSha256" in project.run().stdout
        project.write("lambda/handler.py", "A = 1\n")
        assert "with uncommitted changes" in project.run().stdout
        shutil.rmtree(project.path / ".git")
        assert "no commit" in project.run().stdout

    def test_help_lists_the_options(self, project: Project) -> None:
        said = project.run("--help").stdout
        for option in ("--source", "--output", "--json"):
            assert option in said

    def test_needs_only_the_standard_library(self, project: Project) -> None:
        done = subprocess.run(
            [sys.executable, "-E", "-s", "-S", SCRIPT, "--source", project.source, "--output", project.output],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def test_handler_can_be_imported_from_the_zip(self, project: Project) -> None:
        project.build()
        code = "import sys, handler; print(handler.handler({}, None), handler.__file__)"
        said = subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(project.output)}, text=True
        )
        assert said == f"{{}} {project.output}/handler.py\n"
