"""The scanners, each a program of its own environment, which ``make scan`` installs.

Only the audit needs the internet. None needs access to AWS or GitHub, or gets the variables that grant it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pathtolive.cli import LOCAL, ROOT, CommandError
from pathtolive.scanning import content
from pathtolive.scanning.findings import Finding

BIN = ROOT / ".venv-scan" / "bin"
CODE = ("emulator", "functional", "lambda", "scans", "scripts")
PASSED_ON = {
    *("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR"),
    *("HTTPS_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "https_proxy", "no_proxy"),
}
# Places without files of the project.
SKIPPED = (
    ".git",
    ".hypothesis",
    ".local",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    ".venv-scan",
    "__pycache__",
    "dist",
    "plan",
)
RULES = "scans/rules"
# The rule about what a plan deletes: scans/rules/kept.py.
DELETED = "CKV_PTL_3"


def bandit(root: Path = ROOT) -> list[Finding]:
    """Scan Python code."""
    arguments = ["--recursive", "--format", "json", "--quiet", "--exit-zero", *CODE]
    found = json.loads(_run("bandit", *arguments, cwd=root))
    if found["errors"]:
        raise CommandError(f"bandit cannot read some files: {found['errors']}")
    return [
        Finding("bandit", each["test_id"], each["filename"].removeprefix("./"), each["issue_text"], each["line_number"])
        for each in found["results"]
    ]


def jactionlint(root: Path = ROOT) -> list[Finding]:
    """Scan workflows. Their scripts are also checked with shellcheck, which ``make check`` installs."""
    shellcheck = f"--shellcheck={ROOT / '.venv' / 'bin' / 'shellcheck'}"
    # Its exit status is 1 if there are findings.
    found = json.loads(_run("jactionlint", "--format", "json", shellcheck, cwd=root, statuses=(0, 1)))
    return [Finding("jactionlint", each["id"], each["filepath"], each["message"], each["line"]) for each in found]


def checkov(root: Path = ROOT) -> list[Finding]:
    """Scan Terraform files and workflows, and search all files for secrets."""
    frameworks = ["terraform", "github_actions", "secrets"]
    skipped = [part for name in SKIPPED for part in ("--skip-path", rf"(^|/){name.replace('.', '[.]')}(/|$)")]
    arguments = ["--directory", ".", "--framework", *frameworks, "--enable-secret-scan-all-files", *skipped]
    return list(_of_checkov("checkov", arguments, root))


def plan(given: Mapping[str, Any]) -> list[Finding]:
    """Scan a plan: the resources as they will be, and what it deletes."""
    if not given.get("resource_changes"):
        return []
    gone = {resource["address"] for resource in content.deleted(given)}
    LOCAL.mkdir(exist_ok=True)
    # The plan contains the state.
    with tempfile.TemporaryDirectory(dir=LOCAL) as directory:
        (Path(directory) / "plan.json").write_text(json.dumps(content.with_deleted(given)))
        arguments = ["--file", f"{directory}/plan.json", "--framework", "terraform_plan"]
        found = list(_of_checkov("plan", arguments, ROOT))
    return [each for each in found if each.rule == DELETED or each.place not in gone]


def policies(given: Mapping[str, Any]) -> list[Finding]:
    """Check the IAM documents of a plan or a state with parliament and cloudsplaining."""
    found = _run("python", "scans/policies.py", cwd=ROOT, given=json.dumps(content.documents(given)))
    return [Finding(**each) for each in json.loads(found)]


def audit() -> list[Finding]:
    """Find the known vulnerabilities of all locked packages, in the database of the Python Package Index.

    The only scan that needs the internet.

    Raises:
        CommandError: the database does not answer for every package.
    """
    found = []
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        place = str(lock.relative_to(ROOT))
        # Without --strict, a package that the index does not answer for counts as sound.
        arguments = ["--strict", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        try:
            report = json.loads(_run("pip-audit", *arguments, "--requirement", place, cwd=ROOT, statuses=(0, 1)))
        except CommandError as error:
            raise CommandError(f"{error}\nThe audit needs the internet. In GitHub Actions, ci.yml runs it.") from error
        found += [
            Finding("pip-audit", each["id"], place, f"{package['name']} {package['version']}: {each['description']}")
            for package in report["dependencies"]
            for each in package["vulns"]
        ]
    return found


def _of_checkov(scanner: str, arguments: list[str], root: Path) -> Iterator[Finding]:
    common = ["--external-checks-dir", str(ROOT / RULES), "--skip-download", "--compact", "--quiet", "--soft-fail"]
    reports = json.loads(_run("checkov", *arguments, *common, "--output", "json", cwd=root))
    for report in reports if isinstance(reports, list) else [reports]:
        # Without resources, a report has only a summary.
        summary = report.get("summary", report)
        if summary["parsing_errors"] or (scanner == "plan" and not summary["resource_count"]):
            raise CommandError(f"checkov cannot read what it scans: {summary}. To see why, run it: {BIN / 'checkov'}")
        for each in report.get("results", {}).get("failed_checks", []):
            path = each["file_path"].lstrip("/")
            yield Finding(
                scanner,
                each["check_id"],
                path
                if report["check_type"] != "terraform" and scanner == "checkov"
                else _place(path, each["resource"]),
                each["check_name"],
                each["file_line_range"][0] if scanner == "checkov" else None,
            )


def _place(path: str, address: str) -> str:
    """Return the address of a resource. Those of tests are not the project's: their files come first."""
    return f"{path}:{address}" if path.startswith("tests/") else address


def _run(program: str, *arguments: str, cwd: Path, given: str | None = None, statuses: tuple[int, ...] = (0,)) -> str:
    """Run a scanner, and return its standard output.

    Raises:
        CommandError: it is not installed, or fails.
    """
    if not (BIN / program).exists():
        raise CommandError("The scanners are not installed. Install and run them with: make scan")
    environment = {name: value for name, value in os.environ.items() if name in PASSED_ON}
    done = subprocess.run(
        [str(BIN / program), *arguments],
        cwd=cwd,
        # What is unknown in a plan, such as the ARN of a key, has a value nevertheless.
        env=environment | {"EVAL_TF_PLAN_AFTER_UNKNOWN": "1"},
        input=given or "",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in statuses or not done.stdout.strip():
        # The last line of a traceback is the reason.
        (*_, reason) = ["no output", *filter(None, map(str.strip, (done.stdout + done.stderr).splitlines()))]
        raise CommandError(f"{program} failed with status {done.returncode}: {reason}")
    return done.stdout
