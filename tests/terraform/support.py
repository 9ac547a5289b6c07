"""Copies of Terraform directories that tests plan and apply."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import tftest

from pathtolive.toolchain import terraform as toolchain
from tests.conftest import ROOT

SOURCE = ROOT / "terraform"
MADE_BY_TERRAFORM = shutil.ignore_patterns(".terraform", "terraform.tfstate*", "*.tfvars", "*_override.tf")
LOCAL_BACKEND = 'terraform {\n  backend "local" {}\n}\n'
PINNED = {stage: {"function_version": "newest", "gateway_deployment": "newest"} for stage in ("dev", "test", "live")}
GREETING = """
def handler(event, context):
    return {"statusCode": 200, "body": %r + " " + context.function_version}
"""


# The variable that attaches Terraform to a running provider.
Provider = dict[str, str]


class Configuration:
    """A root module in a separate directory, initialized.

    ``provider`` is a running provider: see provider.py. Without one, each command starts its own.
    """

    def __init__(
        self,
        directory: Path,
        *,
        backend: dict[str, str] | None = None,
        provider: Provider | None = None,
        terraform: Path | None = None,
    ):
        self.directory = directory
        environment = toolchain.environment() | (provider or {})
        self._terraform = tftest.TerraformTest(
            str(directory), binary=str(terraform or toolchain.executable()), env=environment
        )
        if backend is None and "backend" in (directory / "terraform.tf").read_text():
            (directory / "backend_override.tf").write_text(LOCAL_BACKEND)
        # setup() of tftest deletes the lock file at the end, and does not accept -lockfile.
        given = [f"-backend-config={name}={value}" for name, value in (backend or {}).items()]
        self.run("init", "-no-color", "-lockfile=readonly", *given)

    def variables(self, **values: Any) -> Configuration:
        """Replace all variables."""
        (self.directory / "terraform.tfvars.json").write_text(json.dumps(values))
        return self

    def plan(self) -> Any:
        # tftest's own plan(output=True) leaves each plan in /tmp.
        self.run("plan", "-input=false", "-no-color", "-out=plan")
        return tftest.TerraformPlanOutput(json.loads(self.run("show", "-no-color", "-json", "plan").out))

    def warnings(self) -> str:
        """Plan, and return the output other than the changes."""
        return unwrapped(self._terraform.plan())

    def refusal(self) -> str:
        """Plan, and return the reason why the plan failed."""
        try:
            self._terraform.plan()
        except tftest.TerraformTestError as error:
            return unwrapped(error.cmd_error)
        raise AssertionError("there is a plan")

    def diagnostics(self) -> list[Any]:
        """Plan, and return Terraform's diagnostics, each with its file.

        https://developer.hashicorp.com/terraform/internals/machine-readable-ui
        """
        # The error of tftest contains only standard error.
        command = [self._terraform.binary, "plan", "-json"]
        done = subprocess.run(
            command, cwd=self.directory, env=self._terraform.env, capture_output=True, text=True, check=False
        )
        lines = map(json.loads, done.stdout.splitlines())
        return [line["diagnostic"] for line in lines if line["type"] == "diagnostic"]

    def value(self, expression: str) -> Any:
        """Return the value of an expression, such as a local value."""
        done = subprocess.run(
            [self._terraform.binary, "console"],
            input=f"jsonencode({expression})",
            cwd=self.directory,
            env=self._terraform.env,
            capture_output=True,
            text=True,
            check=True,
        )
        # Warnings come first.
        return json.loads(json.loads(done.stdout.splitlines()[-1]))

    def apply(self) -> str:
        return unwrapped(self._terraform.apply())

    def failing_apply(self) -> str:
        try:
            self._terraform.apply()
        except tftest.TerraformTestError as error:
            return unwrapped(error.cmd_error)
        raise AssertionError("it was applied")

    def changes(self) -> list[str]:
        """Plan, and return the addresses of the changes. There are none if the plan is empty."""
        plan = self.plan()
        outputs = [f"output.{name}" for name, change in plan.output_changes.items() if change["actions"] != ["no-op"]]
        return outputs + [
            address
            for address, change in plan.resource_changes.items()
            if change["change"]["actions"] not in (["no-op"], ["read"])
        ]

    def detailed_exit_code(self) -> int:
        """Return 0 if a plan is empty, and 2 otherwise."""
        return int(self.run("plan", "-detailed-exitcode", "-no-color").retcode)

    def outputs(self) -> dict[str, Any]:
        return dict(self._terraform.output())

    def destroy(self) -> None:
        self._terraform.destroy()

    def run(self, command: str, *arguments: str) -> Any:
        return self._terraform.execute_command(command, *arguments)


def copy(directory: Path, source: Path = SOURCE) -> Path:
    """Copy the committed files of a Terraform directory."""
    shutil.copytree(source, directory, ignore=MADE_BY_TERRAFORM)
    if source != SOURCE and not (directory / ".terraform.lock.hcl").exists():
        shutil.copyfile(SOURCE / ".terraform.lock.hcl", directory / ".terraform.lock.hcl")
    return directory


def write_config(directory: Path, stages: dict[str, Any], gateway_deployments: list[str] | None = None) -> None:
    """Write config.tf with these pins."""
    named = json.dumps(["1"] if gateway_deployments is None else gateway_deployments)
    pins = json.dumps(stages, indent=2)
    (directory / "config.tf").write_text(f"locals {{\n  gateway_deployments = {named}\n  stages = {pins}\n}}\n")


def write_artifact(directory: Path, greeting: str = "Hello", source: str | None = None) -> None:
    """Write the artifact of a root module: by default, a function that returns a greeting and its version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("handler.py"), GREETING % greeting if source is None else source)
    path = directory.parent / "dist" / "lambda.zip"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(buffer.getvalue())


def unwrapped(text: str) -> str:
    """Return Terraform's output without the frame and the line breaks for a terminal."""
    return " ".join(re.sub(r"[│╷╵]", " ", text).split())


def document(resource: dict[str, Any], attribute: str = "policy") -> Any:
    """Return the IAM document of a planned resource."""
    return json.loads(resource["values"][attribute])


def references(expression: dict[str, Any]) -> set[str]:
    """Return the references of an expression in a plan's configuration."""
    return set(expression.get("references", []))


def stage_url(api_id: str, stage: str, url: str) -> str:
    """Return the URL of a stage: ``url`` on AWS, a path of the endpoint on an emulator."""
    endpoint = os.environ["AWS_ENDPOINT_URL"].rstrip("/")
    return url if endpoint.endswith("amazonaws.com") else f"{endpoint}/_aws/execute-api/{api_id}/{stage}/"
