"""A rehearsal of GitHub Actions: it runs the jobs of the workflows themselves, each in a fresh clone.

Every ``run`` step is run by bash as GitHub runs it. ``uses`` steps are stood in for by name; an unknown one fails.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
"""

from __future__ import annotations

import collections
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import yaml

from pathtolive.demo import clone
from tests import processes
from tests.conftest import REGION, ROOT
from tests.python.pipeline.expressions import condition, substitute

ACCOUNT = "000000000000"
REPOSITORY = "octocat/hello"
SUCCESS, FAILURE, SKIPPED = "success", "failure", "skipped"
# What a server does that knows the permissions of a token, and whether main is protected.
# https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches/troubleshooting-required-status-checks
RECEIVE = """#!/usr/bin/env bash
case "$GITHUB_TOKEN" in *contents=write*) ;; *) echo "Permission to {repository} denied" >&2; exit 1;; esac
while read -r old new ref; do
  if [ "$ref" = refs/heads/main ] && [ -e "{protected}" ]; then
    echo "error: GH006: Protected branch update failed for refs/heads/main." >&2; exit 1
  fi
done
"""
GH = """#!{python}
import json, os, pathlib, sys
assert "pull-requests=write" in os.environ["GITHUB_TOKEN"], "Resource not accessible by integration"
path = pathlib.Path({path!r})
known = json.loads(path.read_text()) if path.exists() else []
arguments = sys.argv[1:]
head = arguments[arguments.index("--head") + 1]
assert arguments[arguments.index("--base") + 1] == "main"
if arguments[:2] == ["pr", "list"]:
    print(json.dumps([{{"url": each["url"], "isCrossRepository": False}} for each in known if each["head"] == head]))
elif arguments[:2] == ["pr", "create"]:
    url = f"https://github.com/{repository}/pull/{{len(known) + 1}}"
    known.append({{"head": head, "title": arguments[arguments.index("--title") + 1], "url": url}})
    path.write_text(json.dumps(known))
    print(known[-1]["url"])
else:
    sys.exit(f"The rehearsal does not know gh {{arguments}}")
"""


class GitHub:
    """A repository on GitHub, the runners of its workflows, and the AWS account at an endpoint."""

    def __init__(self, directory: Path, endpoint: str, environment: Mapping[str, str]) -> None:
        self.directory, self.endpoint, self.environment = directory, endpoint, environment
        self.origin, self.developer = directory / "origin.git", directory / "developer"
        self.variables = {"AWS_ACCOUNT_ID": ACCOUNT, "LOAD_SECONDS": "3"}
        self.protected, self.pull_requests = directory / "protected", directory / "pull-requests.json"
        self.groups: dict[str, threading.Lock] = collections.defaultdict(threading.Lock)
        self.runs = 0
        # The jobs that have assumed a role, by the access key of their session.
        self.sessions: dict[str, Execution] = {}
        self._create()

    def _create(self) -> None:
        listed = subprocess.check_output(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, text=True
        )
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.developer / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.developer / name)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Begin")
        clone.git("clone", "--quiet", "--bare", str(self.developer), str(self.origin), cwd=self.directory)
        self.git("remote", "add", "origin", str(self.origin))
        hook = self.origin / "hooks" / "pre-receive"
        hook.write_text(RECEIVE.format(repository=REPOSITORY, protected=self.protected))
        hook.chmod(0o755)
        tools = self.directory / "tools"
        tools.mkdir()
        path = str(self.pull_requests)
        (tools / "gh").write_text(GH.format(python=sys.executable, path=path, repository=REPOSITORY))
        (tools / "gh").chmod(0o755)

    def machine(self, tools: Path) -> dict[str, str]:
        """Return the variables of a machine for which the endpoint is AWS, with some tools first on its PATH."""
        kept = {
            name: value
            for name, value in clone.kept_environment().items()
            if not name.startswith(("GITHUB_", "PYTEST_"))
        }
        return {
            **kept,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            # An endpoint is a local one otherwise.
            "TARGET": "aws",
            **self.environment,
        }

    def git(self, *arguments: str) -> str:
        return clone.git(*arguments, cwd=self.developer)

    def change(self, name: str, old: str, new: str, message: str) -> str:
        """Change a file as a developer, push it to main past its protection, and return the commit."""
        assert self.show(name).count(old) == 1
        return self.write(name, self.show(name).replace(old, new), message)

    def write(self, name: str, content: str, message: str) -> str:
        """Write a file as a developer, push it to main past its protection, and return the commit."""
        self.git("fetch", "--quiet", "origin", "main")
        self.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        (self.developer / name).write_text(content)
        self.git("add", name)
        self.git("commit", "--quiet", "--message", message)
        clone.git("fetch", "--quiet", str(self.developer), "+main:main", cwd=self.origin)
        return self.main

    @property
    def main(self) -> str:
        return clone.git("rev-parse", "main", cwd=self.origin)

    def show(self, path: str, branch: str = "main") -> str:
        return clone.git("show", f"{branch}:{path}", cwd=self.origin)

    def requests(self) -> list[dict[str, str]]:
        """Return the open pull requests."""
        found: list[dict[str, str]] = json.loads(self.pull_requests.read_text()) if self.pull_requests.exists() else []
        return found

    def client(self, service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - any will do
        )

    def start(self, workflow: str, event: str = "push", **inputs: str) -> Run:
        """Return a run of a workflow of main, none of whose jobs has begun."""
        content = yaml.safe_load(self.show(f".github/workflows/{workflow}"))
        # YAML 1.1 reads the key "on" as a boolean.
        assert event in content[True]
        return self.begin(content, event, inputs)

    def begin(self, content: Mapping[str, Any], event: str, inputs: Mapping[str, str] | None = None) -> Run:
        """Return a run of a workflow with this content on main, none of whose jobs has begun."""
        self.runs += 1
        return Run(self, content, self.main, event, inputs or {}, self.directory / f"run-{self.runs}")

    def run(self, workflow: str, event: str = "push", **inputs: str) -> Run:
        """Return a run of a workflow whose jobs have ended."""
        return self.start(workflow, event, **inputs).complete()


@dataclass
class Job:
    """What became of a job."""

    result: str
    outputs: dict[str, str]
    log: str
    steps: list[tuple[str, str]]
    url: str = ""


@dataclass
class Run:
    """A run of a workflow. ``loses`` is asked after each step that has succeeded whether the runner is lost then."""

    github: GitHub
    workflow: Mapping[str, Any]
    commit: str
    event: str
    inputs: Mapping[str, str]
    directory: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    summary: str = ""
    loses: Callable[[str, str], bool] = lambda job, step: False
    attempts: int = 0

    def complete(self, *, until: str | None = None) -> Run:
        """Run the jobs that have not succeeded, in the order of their needs; ``until`` is the first that is not run."""
        self.attempts += 1
        self.jobs = {name: job for name, job in self.jobs.items() if job.result == SUCCESS}
        waiting = [name for name in self.workflow["jobs"] if name not in self.jobs]
        while waiting:
            name = next(name for name in waiting if set(self.needs(name)) <= self.jobs.keys())
            if name == until:
                break
            waiting.remove(name)
            self.jobs[name] = self._job(name)
        return self

    def needs(self, name: str) -> list[str]:
        given = self.workflow["jobs"][name].get("needs", [])
        return [given] if isinstance(given, str) else list(given)

    def results(self) -> dict[str, str]:
        return {name: job.result for name, job in self.jobs.items()}

    def logs(self) -> str:
        return "\n".join(f"=== {name}: {job.result}\n{job.log}" for name, job in self.jobs.items())

    def _before(self, name: str) -> set[str]:
        """Return the jobs that a job needs, and what they need."""
        found = set(self.needs(name))
        return found.union(*map(self._before, found))

    def _contexts(self, name: str) -> dict[str, Any]:
        github = {
            "actor": "octocat",
            "event": {"repository": {"visibility": "public"}},
            "event_name": self.event,
            "ref": "refs/heads/main",
            "repository": REPOSITORY,
            "sha": self.commit,
            "token": self._token(self.workflow["jobs"][name]),
        }
        needs = {
            each: {"outputs": self.jobs[each].outputs, "result": self.jobs[each].result} for each in self.needs(name)
        }
        return {"github": github, "inputs": self.inputs, "needs": needs, "vars": self.github.variables}

    @staticmethod
    def _token(definition: Mapping[str, Any]) -> str:
        """Return a token that has the permissions of a job, which have no others by default."""
        return ",".join(f"{name}={level}" for name, level in sorted(definition.get("permissions", {}).items()))

    def _job(self, name: str) -> Job:
        assert self.workflow["permissions"] == {}
        definition, contexts = self.workflow["jobs"][name], self._contexts(name)
        results = [self.jobs[each].result for each in self._before(name)]
        functions: dict[str, Callable[[], bool]] = {
            "cancelled": lambda: False,
            "failure": lambda: FAILURE in results,
            # A job is skipped if any job before it was, not only one that it needs.
            "success": lambda: all(result == SUCCESS for result in results),
        }
        if not condition(str(definition.get("if", "success()")), contexts, functions):
            return Job(SKIPPED, {}, "", [])
        concurrency = definition.get("concurrency") or self.workflow.get("concurrency")
        if concurrency is None:
            return Execution(self, name, definition, contexts).complete()
        assert concurrency["queue"] == "max"
        with self.github.groups[substitute(concurrency["group"], contexts)]:
            return Execution(self, name, definition, contexts).complete()


class Execution:
    """A job that is being run, in a directory of its own."""

    def __init__(self, run: Run, name: str, definition: Mapping[str, Any], contexts: dict[str, Any]) -> None:
        self.run, self.name, self.definition = run, name, definition
        self.directory = run.directory / f"{name}-{run.attempts}"
        self.directory.mkdir(parents=True)
        self.workspace = self.directory / "workspace"
        self.outputs: dict[str, dict[str, Any]] = {}
        self.contexts = contexts | {"steps": self.outputs}
        self.credentials: dict[str, str] = {}
        self.role, self.doing = "", ""
        self.log: list[str] = []
        self.failed = False

    def complete(self) -> Job:
        functions: dict[str, Callable[[], bool]] = {
            "cancelled": lambda: False,
            "failure": lambda: self.failed,
            "success": lambda: not self.failed,
        }
        steps = []
        for number, step in enumerate(self.definition["steps"], 1):
            label = step.get("name") or step.get("run", step.get("uses", "")).strip().splitlines()[0]
            result = SKIPPED
            if condition(str(step.get("if", "success()")), self.contexts, functions):
                result = SUCCESS if self._step(number, label, step) else FAILURE
                self.failed = self.failed or (result == FAILURE and not step.get("continue-on-error"))
            if "id" in step:
                self.outputs.setdefault(step["id"], {"outputs": {}})["outcome"] = result
            steps.append((label, result))
        names = self.definition.get("outputs", {})
        outputs = {name: substitute(value, self.contexts) for name, value in names.items()}
        url = (self.environment or {}).get("url", "")
        summary = self.directory / "summary"
        self.run.summary += summary.read_text() if summary.exists() else ""
        return Job(
            FAILURE if self.failed else SUCCESS, outputs, "\n".join(self.log), steps, substitute(url, self.contexts)
        )

    @property
    def environment(self) -> dict[str, str] | None:
        """Return the environment of the job, with its name and URL."""
        given = self.definition.get("environment")
        return {"name": given} if isinstance(given, str) else given

    def _step(self, number: int, label: str, step: Mapping[str, Any]) -> bool:
        self.doing = label
        if "uses" in step:
            self.log.append(f"$ uses {step['uses']}")
            given = {name: self._value(value) for name, value in step.get("with", {}).items()}
            return ACTIONS[step["uses"].partition("@")[0]](self, given)
        output, script = self.directory / f"output-{number}", self.directory / f"step-{number}.sh"
        output.write_text("")
        script.write_text(substitute(step["run"], self.contexts))
        done = self._execute(script, step, output)
        self.log.append(f"$ {label}\n{done.stdout}[exit status {done.returncode}]")
        if "id" in step:
            lines = output.read_text().splitlines()
            self.outputs[step["id"]] = {"outputs": dict(line.split("=", 1) for line in lines)}
        if done.returncode == 0 and self.run.loses(self.name, label):
            self.log.append("The runner has received a shutdown signal.")
            return False
        return done.returncode == 0

    def _value(self, value: Any) -> str:
        return substitute(str(value).lower() if isinstance(value, bool) else str(value), self.contexts)

    def _execute(self, script: Path, step: Mapping[str, Any], output: Path) -> subprocess.CompletedProcess[str]:
        variables = {**self.run.workflow.get("env", {}), **self.definition.get("env", {}), **step.get("env", {})}
        return processes.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace if self.workspace.exists() else self.directory,
            env={
                **self.run.github.machine(self.run.github.directory / "tools"),
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTOR": "octocat",
                "GITHUB_OUTPUT": str(output),
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_STEP_SUMMARY": str(self.directory / "summary"),
                **self.credentials,
                **{name: self._value(value) for name, value in variables.items()},
            },
            seconds=600,
        )

    def checkout(self, given: Mapping[str, str]) -> bool:
        assert given.get("persist-credentials") == "false"
        assert self.definition["permissions"]["contents"] in {"read", "write"}
        source = str(self.run.github.origin)
        clone.git("clone", "--quiet", "--no-checkout", source, str(self.workspace), cwd=self.directory)
        # The action fetches only what the commit has.
        clone.git("update-ref", "refs/remotes/origin/main", self.run.commit, cwd=self.workspace)
        clone.git("checkout", "--quiet", "--force", "-B", "main", self.run.commit, cwd=self.workspace)
        clone.link_installed(self.workspace)
        return True

    def set_up_python(self, given: Mapping[str, str]) -> bool:
        assert given.keys() == {"python-version"}
        return True

    def set_up_terraform(self, given: Mapping[str, str]) -> bool:
        assert given["terraform_wrapper"] == "false"
        return True

    def assume_role(self, given: Mapping[str, str]) -> bool:
        """Assume the role that trusts the environment of the job."""
        assert self.definition["permissions"]["id-token"] == "write"
        assert self.environment, "no role trusts a job of main without an environment"
        environment = substitute(self.environment["name"], self.contexts)
        role = environment if environment in {"infrastructure", "plan"} else f"deploy-{environment}"
        assert given == {
            "role-to-assume": f"arn:aws:iam::{ACCOUNT}:role/path-to-live-{role}",
            "aws-region": REGION,
            "allowed-account-ids": ACCOUNT,
        }
        sts = self.run.github.client("sts")
        keys = sts.assume_role(RoleArn=given["role-to-assume"], RoleSessionName="GitHubActions")["Credentials"]
        self.role = f"path-to-live-{role}"
        self.run.github.sessions[keys["AccessKeyId"]] = self
        self.credentials = {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_REGION": given["aws-region"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }
        return True

    def upload(self, given: Mapping[str, str]) -> bool:
        assert given.keys() == {"name", "path", "if-no-files-found", "overwrite"}
        place = self.run.directory / "artifacts" / given["name"]
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copy(self.workspace / given["path"], place)
        return True

    def download(self, given: Mapping[str, str]) -> bool:
        assert given.keys() == {"name", "path"}
        place = self.run.directory / "artifacts" / given["name"]
        shutil.copytree(place, self.workspace / given["path"], dirs_exist_ok=True)
        return True

    def attest(self, given: Mapping[str, str]) -> bool:
        permissions = self.definition["permissions"]
        assert (permissions["attestations"], permissions["id-token"]) == ("write", "write")
        return (self.workspace / given["subject-path"]).is_file()


ACTIONS: dict[str, Callable[[Execution, Mapping[str, str]], bool]] = {
    "actions/attest": Execution.attest,
    "actions/checkout": Execution.checkout,
    "actions/download-artifact": Execution.download,
    "actions/setup-python": Execution.set_up_python,
    "actions/upload-artifact": Execution.upload,
    "aws-actions/configure-aws-credentials": Execution.assume_role,
    "hashicorp/setup-terraform": Execution.set_up_terraform,
}
