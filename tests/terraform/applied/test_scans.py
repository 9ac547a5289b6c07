"""The plans and states of the root module and of bootstrap pass the scans, and so do all their IAM documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pathtolive.scanning import content, findings, scanners
from tests import provider
from tests.conftest import ROOT, local_aws
from tests.terraform.root.test_bootstrap import REPOSITORY
from tests.terraform.support import SOURCE, Configuration, copy, write_artifact

pytestmark = [pytest.mark.endpoint, pytest.mark.long]


@dataclass(frozen=True)
class Scanned:
    """What Terraform prints of both root modules, as JSON: plans by name, and states by directory."""

    plans: dict[str, Any]
    states: dict[str, Any]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    """Yield plans and states in an account of their own: bootstrap names resources that an account has once."""
    directory = tmp_path_factory.mktemp("scans")
    plans, states = {}, {}
    with pytest.MonkeyPatch.context() as patch, local_aws(directory / "log") as url:
        patch.setenv("AWS_ENDPOINT_URL", url)
        for name, variables in (("bootstrap", {"github_repository": REPOSITORY, "api_id": "a1b2c3"}), ("root", {})):
            copied = copy(directory / name / "terraform", SOURCE / "bootstrap" if name == "bootstrap" else SOURCE)
            write_artifact(copied)
            (directory / f"{name}-provider").mkdir()
            with provider.running(directory / f"{name}-provider", url, copied) as attached:
                made = Configuration(copied, provider=attached).variables(**variables)
                plans[name] = _shown(made, "plan")
                made.apply()
                states[name] = json.loads(made.run("show", "-no-color", "-json").out)
                if name == "root":
                    write_artifact(copied, "Hello again")
                    plans["moves"] = _shown(made, "plan")
                    plans["deletes"] = _shown(made, "plan", "-destroy")
                    made.variables(log_retention_days=7, pins=_pins(states["root"]))
                    plans["changes"] = _shown(made, "plan", "-var=update_code=false")
        yield Scanned(plans, states)


def _shown(configuration: Configuration, command: str, *arguments: str) -> Any:
    configuration.run(command, "-input=false", "-no-color", "-out=made", *arguments)
    return json.loads(configuration.run("show", "-no-color", "-json", "made").out)


def _pins(state: Any) -> dict[str, Any]:
    stages = state["values"]["outputs"]["stages"]["value"]
    return {stage: {"function_version": "1", "gateway_deployment": "newest"} for stage in stages}


@pytest.fixture(scope="module")
def found(scanned: Scanned) -> list[findings.Finding]:
    """Return the findings of the plans that a project has every day, and of the documents of both states."""
    every_day = [scanned.plans[name] for name in ("bootstrap", "root", "changes")]
    return [
        *(each for plan in every_day for each in scanners.plan(plan)),
        *(each for state in scanned.states.values() for each in scanners.policies(state)),
    ]


def test_plans_and_documents_of_the_project_pass(found: list[findings.Finding]) -> None:
    assert [str(each) for each in findings.remaining(found, findings.accepted())] == []


def test_what_is_accepted_of_plans_and_documents_is_found(found: list[findings.Finding]) -> None:
    assert findings.unused(found, findings.accepted(), {"plan", "parliament", "cloudsplaining"}) == []


def test_every_iam_document_is_checked(scanned: Scanned) -> None:
    places = {findings.INDEX.sub("", each["place"]) for each in content.documents(scanned.states["bootstrap"])}
    assert places == {
        *("aws_iam_policy.boundary.policy", "aws_iam_policy.infrastructure.policy", "aws_iam_policy.read.policy"),
        *("aws_iam_role.github.assume_role_policy", "aws_iam_role_policy.deploy.policy"),
        *("aws_iam_role_policy.infrastructure.policy", "aws_kms_key.topic.policy", "aws_s3_bucket_policy.state.policy"),
    }
    places = {findings.INDEX.sub("", each["place"]) for each in content.documents(scanned.states["root"])}
    assert places == {
        *("module.function.aws_iam_role.this.assume_role_policy", "module.function.aws_iam_role_policy.logs.policy"),
        *("module.notifications.aws_kms_key.this.policy", "module.notifications.aws_sns_topic.this.policy"),
        "module.notifications.aws_sns_topic_policy.this.policy",
        *(f"module.release.aws_iam_role.{role}.assume_role_policy" for role in ("rollback", "this")),
        *(f"module.release.aws_iam_role_policy.{role}.policy" for role in ("rollback", "this")),
    }


def test_plan_that_moves_stages_is_refused(scanned: Scanned) -> None:
    left = findings.remaining(scanners.plan(scanned.plans["moves"]), findings.accepted())
    assert {(each.rule, each.place) for each in left} == {
        ("CKV_PTL_2", f'module.alias["{stage}"].aws_lambda_alias.this') for stage in ("dev", "test", "live")
    }


def test_removal_of_a_stage_is_accepted_as_documented(scanned: Scanned, tmp_path: Path) -> None:
    (entry,) = re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / "docs" / "pipeline.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "accepted.toml").write_text(re.sub(r"until = .*", "until = 9999-12-31", entry.replace("qa", "test")))
    found = [each for each in scanners.plan(scanned.plans["deletes"]) if each.rule == scanners.DELETED]
    left = findings.remaining(found, findings.accepted(tmp_path / "accepted.toml"))
    assert sorted(each.place for each in found if '["test"]' not in each.place) == sorted(each.place for each in left)
    assert len(left) < len(found)


def test_plan_that_deletes_what_serves_traffic_or_notifies_people_is_refused(scanned: Scanned) -> None:
    left = findings.remaining(scanners.plan(scanned.plans["deletes"]), findings.accepted())
    assert {each.rule for each in left} == {"CKV_PTL_3"}
    assert {findings.INDEX.sub("", each.place) for each in left} == {
        "module.alias.aws_lambda_alias.this",
        "module.api.aws_apigatewayv2_api.this",
        "module.function.aws_cloudwatch_log_group.this",
        "module.function.aws_lambda_function.this",
        "module.monitoring.aws_cloudwatch_composite_alarm.unhealthy",
        *(
            f"module.monitoring.aws_cloudwatch_metric_alarm.{name}"
            for name in ("api_5xx_rate", "duration", "error_rate", "throttles", "total_failure")
        ),
        "module.notifications.aws_kms_key.this",
        "module.notifications.aws_sns_topic.this",
        "module.release.aws_cloudwatch_log_group.this",
        "module.release.aws_sfn_state_machine.this",
        "module.stage.aws_apigatewayv2_stage.this",
        "module.stage.aws_cloudwatch_log_group.access",
    }
