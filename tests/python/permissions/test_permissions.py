"""Every request of the path, from an empty account to the removal of a stage, and the policies that allow it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

from tests import proxy
from tests.conftest import REGION, free_port, local_aws
from tests.python.permissions import page, reference
from tests.python.permissions.authorization import LOG_DELIVERY, Request
from tests.python.permissions.recorder import Recorder
from tests.python.pipeline import names
from tests.python.pipeline.rehearsal import CONFIG, ROUTES, succeeded, visitors
from tests.python.pipeline.runner import FAILURE, GitHub, Run
from tests.terraform import attacks

VARIABLES = "terraform/terraform.tfvars"
ACCEPTED = "scans/accepted.toml"
ADMINISTRATOR = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
OWN_KEY = "a plan, if the root module creates the key because `kms_key_arn` is not set"
REMOVED = "a change of the modules that removes it"
# The permissions that this rehearsal does not use, and who uses them.
UNUSED: dict[page.Permission, str] = {
    **{
        (page.EVERY, "ReadTopicKey", f"kms:{name}"): OWN_KEY
        for name in ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListResourceTags")
    },
    (page.EVERY, "UnscopedActions", "kms:ListAliases"): OWN_KEY,
    (page.DEV, "SetRoutes", "apigateway:PATCH"): (
        "`make deploy ONLY_CODE=1`, if the pin of dev's routes has changed and `make infrastructure` has not run before"
    ),
    (page.INFRASTRUCTURE, "ManageBoundedRoles", "iam:UpdateRole"): (
        "`make infrastructure`, if somebody has changed the longest session of a role"
    ),
    (page.INFRASTRUCTURE, "ManageMetricFilters", "logs:DeleteMetricFilter"): REMOVED,
    (page.INFRASTRUCTURE, "UnscopedActions", "logs:DeleteQueryDefinition"): REMOVED,
    (page.INFRASTRUCTURE, "TagKnownApi", "apigateway:PUT"): (
        "API Gateway, which [asks for it](https://github.com/mattclay/aws-terminator/pull/284) to tag a REST API, and "
        "perhaps an HTTP API"
    ),
    **{
        (page.RELEASE, "DeliverLogs", f"logs:{name}"): "Step Functions, to deliver the logs of executions"
        for name in LOG_DELIVERY
    },
    (page.RELEASE, "FindExecutions", "states:DescribeExecution"): (
        "a release that finds weights of another one on the alias"
    ),
    **{
        (page.FUNCTION, "WriteLogs", f"logs:{name}"): "Lambda, to write the logs of invocations"
        for name in ("CreateLogStream", "PutLogEvents")
    },
}

# The commands expect this: a service without domains has no permission to list those of the account.
DENIED = {
    ("path-to-live-plan", "make infrastructure", "apigateway:GET", f"arn:aws:apigateway:{REGION}::/domainnames"),
}


@pytest.fixture(scope="class")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="class")
def github(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[GitHub]:
    """Yield a repository with the workflows, and an empty account, behind a proxy that records the requests of jobs."""
    directory, port = tmp_path_factory.mktemp("permissions"), free_port()
    with local_aws(directory / "local-aws.log") as endpoint:
        behind = int(endpoint.rpartition(":")[2])
        with (
            proxy.running(port, behind, recorder.observe),
            names.resolved(directory, behind) as environment,
        ):
            github = GitHub(directory, f"http://127.0.0.1:{port}", environment)
            recorder.begin(github, endpoint)
            yield github


def run(github: GitHub, job: str, *commands: str, role: bool = True, **variables: str) -> Run:
    """Run commands as the steps of a job of path.yml, with the role of its environment if ``role`` is set."""
    definition = yaml.safe_load(github.show(".github/workflows/path.yml"))["jobs"][job]
    kept = ("actions/checkout", "aws-actions/") if role else ("actions/checkout",)
    steps = [step for step in definition["steps"] if step.get("uses", "").startswith(kept)]
    steps += [{"run": command} for command in commands]
    content = {
        "permissions": {},
        "jobs": {
            "commands": {
                **{name: definition[name] for name in ("environment", "permissions")},
                "env": variables,
                "steps": steps,
            }
        },
    }
    return succeeded(github.begin(content, "workflow_dispatch").complete())


def bootstrap(github: GitHub, recorder: Recorder) -> None:
    """Run the command with an administrator's credentials."""
    command = "make bootstrap GITHUB_REPOSITORY=octocat@583231/hello@1296269"
    run(github, "plan", command, role=False, **ADMINISTRATOR)
    recorder.read_roles()


@pytest.mark.endpoint
@pytest.mark.long
@pytest.mark.story
class TestPermissions:
    """The path under the roles that `make bootstrap` creates."""

    def test_bootstrap_creates_the_roles(self, github: GitHub, recorder: Recorder) -> None:
        bootstrap(github, recorder)
        key = github.client("kms").describe_key(KeyId="alias/path-to-live-topic")["KeyMetadata"]["Arn"]
        lines = [
            'permissions_boundary_arn = "arn:aws:iam::000000000000:policy/path-to-live-boundary"',
            f'kms_key_arn = "{key}"',
            'alert_emails = ["on-call@example.com"]',
        ]
        github.write(VARIABLES, "\n".join(lines) + "\n", "Use the boundary and the key")

    def test_first_run_creates_every_stage(self, github: GitHub, recorder: Recorder) -> None:
        succeeded(github.start("path.yml").complete(until="dev"))
        bootstrap(github, recorder)
        recorder.known = True

    def test_code_and_routes_are_released(self, github: GitHub) -> None:
        github.change("terraform/main.tf", '"ANY /build-info"', '"ANY /build-info", "HEAD /"', "Add a route")
        github.change(ROUTES, '"Hello, World!"', '"Hello 2"', "Greet again")
        with visitors(github, "live"):
            succeeded(github.run("path.yml"))

    def test_bad_release_is_rolled_back(self, github: GitHub) -> None:
        github.change(CONFIG, '["1", "2"]', '["2"]', "Remove the name of the first routes")
        github.change(CONFIG, 'gateway_deployment = "newest"', 'gateway_deployment = "2"', "Pin the routes of dev")
        bad = 'if request.invocation.alias == "live":\n        raise RuntimeError\n    return text_response("Hello 3")'
        github.change(ROUTES, 'return text_response("Hello 2")', bad, "Fail on live")
        with visitors(github, "live"):
            assert github.run("path.yml").jobs["live"].result == FAILURE

    def test_people_steer_and_look(self, github: GitHub) -> None:
        commands = (
            "make release STAGE=live VERSION=3 WAIT=false REASON=again ARGS=--yes",
            "make build rollback STAGE=live",
            "make freeze STAGE=live UNTIL=2099-01-01T00:00Z REASON=holidays",
            "make unfreeze STAGE=live",
            "make history STAGE=live",
            "make status",
        )
        run(github, "live", *commands)

    def test_infrastructure_is_changed(self, github: GitHub) -> None:
        lines = [
            'tags = { Team = "a" }',
            "alarms = { throttles = 2 }",
            "function = { memory_megabytes = 256 }",
            "log_retention_days = 60",
            "releases = { live = { bake_seconds = 600 } }",
            "throttles = { dev = { burst = 100 } }",
        ]
        kept = github.show(VARIABLES).splitlines()[:2]
        module = "terraform/modules/release/main.tf"
        github.change(module, ": start rollbacks.", ": start every rollback.", "Describe a role")
        github.change(module, '"EventBridgeAssumeRole"', '"AssumeRole"', "Change the trust of a role")
        github.client("iam").delete_role_permissions_boundary(RoleName="path-to-live")
        github.write(VARIABLES, "\n".join([*kept, *lines]), "Change the infrastructure")
        succeeded(github.start("path.yml").complete(until="dev"))

    def test_drift_is_looked_for(self, github: GitHub) -> None:
        succeeded(github.run("drift.yml", "workflow_dispatch"))

    def test_lost_state_is_imported(self, github: GitHub) -> None:
        """An import updates the code, which needs an administrator's credentials."""
        github.client("s3").delete_object(
            Bucket=f"path-to-live-state-000000000000-{REGION}", Key="path-to-live.tfstate"
        )
        run(github, "plan", "make build infrastructure PLAN=changes.json", TF_CLI_ARGS_plan="-lock=false")
        run(github, "plan", "make build infrastructure", role=False, **ADMINISTRATOR)

    def test_stage_is_removed(self, github: GitHub, recorder: Recorder) -> None:
        recorder.read_executions()
        github.change(VARIABLES, 'tags = { Team = "a" }\n', "", "Remove a tag")
        accepted = {
            "scanners": '["plan"]',
            "rule": '"CKV_PTL_3"',
            "places": """['module.*["test"]*']""",
            "reason": '"The stage test is removed."',
            "until": datetime.now(UTC).date().isoformat(),
        }
        entry = "\n".join(["[[accepted]]", *(f"{key} = {value}" for key, value in accepted.items()), ""])
        github.write(ACCEPTED, f"{github.show(ACCEPTED)}\n\n{entry}", "Accept that test is removed")
        github.write(CONFIG, re.sub(r"\n +test += .*", "", github.show(CONFIG)), "Remove test")
        succeeded(github.start("path.yml").complete(until="dev"))

    def test_nothing_is_denied(self, recorder: Recorder) -> None:
        assert recorder.problems == []
        denied = {
            (use.role.name, use.command, use.request.action, use.request.resource)
            for use in recorder.uses.values()
            if not use.role.allows(use.request)
        }
        assert denied == DENIED

    def test_requests_are_those_of_the_reference(self, recorder: Recorder) -> None:
        found = [(use.request.action, reference.difference(use.request)) for use in recorder.uses.values()]
        different = {action: difference for action, difference in found if difference}
        assert different.keys() == reference.EXCEPTIONS.keys(), different

    @pytest.mark.parametrize("attack", attacks.ATTACKS)
    def test_attack_is_denied(self, recorder: Recorder, attack: str) -> None:
        for name in attacks.ROLES:
            assert allowed(recorder, name, attacks.ATTACKS[attack]) == []

    @pytest.mark.parametrize("name", ["deploy-dev", "deploy-test", "deploy-live"])
    def test_role_of_a_stage_cannot_move_another(self, recorder: Recorder, name: str) -> None:
        assert allowed(recorder, name, attacks.on_other_stages(name)) == []

    @pytest.mark.parametrize("immutable", [False, True], ids=["names", "names and ids"])
    def test_jobs_elsewhere_can_assume_no_role(self, recorder: Recorder, immutable: bool) -> None:
        tokens = [attacks.token(immutable=immutable, **claims) for claims in attacks.ELSEWHERE.values()]
        trusts = [recorder.roles[f"path-to-live-{name}"].trust for name in attacks.ROLES]
        assert not any(attacks.may_assume(trust, claims) for trust in trusts for claims in tokens)
        assert attacks.may_assume(trusts[-1], attacks.token(immutable=immutable))

    def test_every_permission_is_used_or_has_a_reason(self, recorder: Recorder) -> None:
        permissions, commands = page.granted(recorder.roles.values()), page.used(recorder.uses.values())
        unused = permissions - commands.keys()
        assert unused - UNUSED.keys() == set(), "unused"
        assert UNUSED.keys() - unused == set(), "used, or not granted"
        text = page.text(commands, UNUSED)
        if os.environ.get("WRITE_PERMISSIONS"):
            page.PATH.write_text(text)
        assert page.PATH.read_text() == text, "docs/permissions.md is out of date. Run: make permissions"


def allowed(recorder: Recorder, name: str, requests: attacks.Requests) -> list[Request]:
    """Return the requests that a role may send."""
    role = recorder.roles[f"path-to-live-{name}"]
    return [request for each in attacks.expanded(requests) if role.allows(request := Request(*each))]
