"""The resources that an AWS account needs once: the plan, and the command that applies it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

from pathtolive import bootstrap as bootstrap_command
from pathtolive import target
from pathtolive.cli import CommandError
from pathtolive.github import Given, Repository
from tests import documents
from tests.checkout import Checkout
from tests.conftest import REGION
from tests.provider import REATTACH
from tests.terraform.support import SOURCE, Configuration, Provider, copy

Client = Callable[[str], Any]
ACCOUNT = "000000000000"
Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]
REPOSITORY = {"id": "1296269", "name": "hello", "owner": "octocat", "owner_id": "583231"}
BUCKET = f"path-to-live-state-{ACCOUNT}-{REGION}"


@pytest.fixture(scope="module")
def bootstrap(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return Configuration(
        copy(tmp_path_factory.mktemp("bootstrap") / "bootstrap", SOURCE / "bootstrap"), provider=provider
    )


@pytest.fixture(scope="module")
def alone(bootstrap: Configuration) -> Any:
    return bootstrap.variables().plan()


@pytest.fixture(scope="module")
def with_repository(bootstrap: Configuration) -> Any:
    return bootstrap.variables(github_repository=REPOSITORY, stages=["dev", "live"]).plan()


def managed(plan: Any) -> set[str]:
    return {address for address, change in plan.resource_changes.items() if change["mode"] == "managed"}


def statements(document: str) -> dict[str, Any]:
    return {statement["Sid"]: statement for statement in json.loads(document)["Statement"]}


def test_bootstrap_without_repository_creates_only_bucket_and_boundary(alone: Any) -> None:
    assert managed(alone) == {
        "aws_iam_policy.boundary",
        "aws_s3_bucket.state",
        "aws_s3_bucket_lifecycle_configuration.state",
        "aws_s3_bucket_policy.state",
        "aws_s3_bucket_public_access_block.state",
        "aws_s3_bucket_server_side_encryption_configuration.state",
        "aws_s3_bucket_versioning.state",
    }


def test_bootstrap_bucket_is_private_versioned_and_encrypted(alone: Any) -> None:
    values = {address: resource["values"] for address, resource in alone.resources.items() if "values" in resource}
    assert values["aws_s3_bucket.state"]["bucket"] == BUCKET
    assert values["aws_s3_bucket.state"]["force_destroy"] is False
    assert values["aws_s3_bucket_versioning.state"]["versioning_configuration"][0]["status"] == "Enabled"
    (rule,) = values["aws_s3_bucket_server_side_encryption_configuration.state"]["rule"]
    assert rule["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "AES256"
    access = values["aws_s3_bucket_public_access_block.state"]
    assert all(
        access[name]
        for name in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    )
    (expiry,) = values["aws_s3_bucket_lifecycle_configuration.state"]["rule"]
    assert expiry["noncurrent_version_expiration"][0]["noncurrent_days"] == 90


def test_bootstrap_bucket_cannot_be_destroyed() -> None:
    assert "prevent_destroy = true" in (SOURCE / "bootstrap" / "main.tf").read_text()


def test_bootstrap_with_repository_creates_identity_provider_roles_and_key(with_repository: Any, alone: Any) -> None:
    roles = ("deploy-dev", "deploy-live", "infrastructure", "plan")
    assert managed(with_repository) - managed(alone) == {
        "aws_iam_openid_connect_provider.github[0]",
        "aws_iam_policy.infrastructure[0]",
        "aws_iam_policy.read[0]",
        'aws_iam_role_policy.deploy["deploy-dev"]',
        'aws_iam_role_policy.deploy["deploy-live"]',
        'aws_iam_role_policy.infrastructure["api"]',
        'aws_iam_role_policy.infrastructure["service-roles"]',
        'aws_iam_role_policy.infrastructure["state"]',
        'aws_iam_role_policy_attachment.infrastructure["infrastructure"]',
        "aws_kms_alias.topic[0]",
        "aws_kms_key.topic[0]",
        *(f'aws_iam_role.github["{role}"]' for role in roles),
        *(f'aws_iam_role_policy_attachment.read["{role}"]' for role in roles),
    }


def test_bootstrap_attaches_to_a_role_what_is_meant_for_it(with_repository: Any) -> None:
    """A plan does not know the ARNs of new policies, so this compares what the configuration names."""
    expressions = {
        resource["address"]: resource["expressions"]["policy_arn"]["references"]
        for resource in with_repository.configuration["root_module"]["resources"]
        if resource["type"] == "aws_iam_role_policy_attachment"
    }
    assert {address: found[0] for address, found in expressions.items()} == {
        "aws_iam_role_policy_attachment.domains": "aws_iam_policy.domains[0].arn",
        "aws_iam_role_policy_attachment.infrastructure": "aws_iam_policy.infrastructure[0].arn",
        "aws_iam_role_policy_attachment.read": "aws_iam_policy.read[0].arn",
    }


@pytest.mark.parametrize(("given", "created"), [(None, True), (True, True), (False, False)])
def test_bootstrap_creates_the_topic_key_unless_it_is_told_not_to(
    bootstrap: Configuration, given: bool | None, created: bool
) -> None:
    plan = bootstrap.variables(github_repository=REPOSITORY, create_topic_key=given).plan()
    assert ("aws_kms_key.topic[0]" in managed(plan)) is created


def test_bootstrap_creates_the_topic_key_without_repository_if_it_is_told_to(bootstrap: Configuration) -> None:
    assert "aws_kms_key.topic[0]" in managed(bootstrap.variables(create_topic_key=True).plan())


def test_bootstrap_topic_key_serves_alarms_of_the_account_and_iam_policies(with_repository: Any) -> None:
    key = with_repository.resource_changes["aws_kms_key.topic[0]"]["change"]["after"]
    assert key["enable_key_rotation"] is True
    account = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    found = statements(key["policy"])
    managed = found.pop("ManageKey")
    assert managed["Principal"] == account
    assert {"kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"} < set(managed["Action"])
    assert not {"kms:Decrypt", "kms:GenerateDataKey"} & set(managed["Action"])
    assert found == {
        "DelegateUseForTopic": {
            "Sid": "DelegateUseForTopic",
            "Effect": "Allow",
            "Principal": account,
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": "*",
            "Condition": {
                "ArnLike": {
                    "kms:EncryptionContext:aws:sns:topicArn": [
                        f"arn:aws:sns:{REGION}:{ACCOUNT}:path-to-live-alerts",
                        f"arn:aws:sns:{REGION}:{ACCOUNT}:path-to-live-*-alerts",
                    ]
                }
            },
        },
        "UseKeyFromAlarms": {
            "Sid": "UseKeyFromAlarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
        },
    }


def test_bootstrap_uses_the_identity_provider_of_the_account(bootstrap: Configuration) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    plan = bootstrap.variables(github_repository=REPOSITORY, github_oidc_provider_arn=arn).plan()
    assert "aws_iam_openid_connect_provider.github[0]" not in managed(plan)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with Checkout(tmp_path_factory.mktemp("bootstrap") / "checkout") as checkout:
        yield checkout


@pytest.fixture(scope="module")
def command(checkout: Checkout, client: Client, endpoint: str, provider: Provider) -> Iterator[Command]:
    """Yield the command, and delete the bucket that it creates, because other tests need an account without it."""

    def run(arguments: str = "", **environment: str) -> Done:
        return checkout.run(f"make bootstrap {arguments}", **{"AWS_ENDPOINT_URL": endpoint, **provider, **environment})

    yield run
    s3 = client("s3")
    # A test alone may create none.
    with contextlib.suppress(s3.exceptions.NoSuchBucket):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                s3.delete_object(Bucket=BUCKET, Key=item["Key"], VersionId=item["VersionId"])
        s3.delete_bucket(Bucket=BUCKET)


class TestCommand:
    """The command applies three times. The provider waits a minute for the bucket's lifecycle rules."""

    @pytest.fixture(scope="class")
    @staticmethod
    def first(command: Command) -> Done:
        # Buffered, as for a user: the output of the command could follow that of Terraform.
        settings = {"PYTHONUNBUFFERED": "", REATTACH: ""}
        return command("GITHUB_REPOSITORY=octocat@583231/hello@1296269", **settings)

    def test_prints_the_account_and_the_bucket_first(self, first: Done) -> None:
        lines = first.stdout.splitlines()
        assert lines[0] == f"Account {ACCOUNT}, region {REGION}: preparing the state bucket {BUCKET}"
        assert lines[1] == "GitHub repository octocat@583231/hello@1296269: preparing its roles"

    def test_creates_bucket_boundary_roles_and_key(self, first: Done, client: Client) -> None:
        assert first.returncode == 0, first.stderr
        assert f"Terraform's state goes to the bucket {BUCKET}" in first.stdout
        boundary = f"arn:aws:iam::{ACCOUNT}:policy/path-to-live-boundary"
        assert f'permissions_boundary_arn = "{boundary}"' in first.stdout
        assert client("iam").get_policy(PolicyArn=boundary)["Policy"]["PolicyName"] == "path-to-live-boundary"
        key = re.search(r'kms_key_arn += "(.*)"', first.stdout)
        assert key
        assert client("kms").describe_key(KeyId="alias/path-to-live-topic")["KeyMetadata"]["Arn"] == key[1]

    @pytest.mark.parametrize("role", ["plan", "infrastructure", "deploy-dev", "deploy-test", "deploy-live"])
    def test_creates_role(self, first: Done, client: Client, role: str) -> None:
        found = client("iam").get_role(RoleName=f"path-to-live-{role}")["Role"]
        assert found["RoleName"] in first.stdout
        (trust,) = found["AssumeRolePolicyDocument"]["Statement"]
        claims = {key.split(":")[1]: value for key, value in trust["Condition"]["StringEquals"].items()}
        jobs = [f"environment:{role.removeprefix('deploy-')}", *(["pull_request"] if role == "plan" else [])]
        assert claims == {
            "aud": "sts.amazonaws.com",
            **({} if role == "plan" else {"ref": "refs/heads/main"}),
            "repository_id": "1296269",
            "sub": [
                f"repo:{repository}:{job}"
                for job in jobs
                for repository in ("octocat/hello", "octocat@583231/hello@1296269")
            ],
        }
        attached = client("iam").list_attached_role_policies(RoleName=f"path-to-live-{role}")["AttachedPolicies"]
        assert "path-to-live-read" in {policy["PolicyName"] for policy in attached}
        inline = client("iam").list_role_policies(RoleName=f"path-to-live-{role}")["PolicyNames"]
        assert sorted(inline) == {"plan": [], "infrastructure": ["api", "service-roles", "state"]}.get(role, ["deploy"])

    def test_prints_the_settings_of_github(self, first: Done) -> None:
        said = " ".join(first.stdout.split())
        assert "In the settings of the GitHub repository octocat/hello:" in said
        assert f"create: AWS_ACCOUNT_ID = {ACCOUNT}, AWS_REGION = {REGION}" in said
        assert "Under Environments, create: plan, infrastructure, dev, test, live" in said
        assert "In the environments infrastructure and live, add required reviewers" in said
        assert "Without GitHub Enterprise, environments have no required reviewers." in said

    def test_keeps_its_state_in_the_bucket(self, first: Done, client: Client, checkout: Checkout) -> None:
        items = client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
        assert [item["Key"] for item in items] == ["bootstrap.tfstate"]
        assert not list((checkout.path / ".local" / "bootstrap" / f"{ACCOUNT}-{REGION}").glob("terraform.tfstate*"))

    def test_bucket_refuses_requests_without_tls(self, first: Done, client: Client) -> None:
        policy = client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"]
        assert statements(policy) == {
            "DenyInsecureTransport": {
                "Sid": "DenyInsecureTransport",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{BUCKET}/*", f"arn:aws:s3:::{BUCKET}"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        }

    def test_repeated_command_changes_nothing_and_keeps_the_repository(self, first: Done, command: Command) -> None:
        again = command()
        assert again.returncode == 0, again.stderr
        assert "No changes." in again.stdout
        assert "GitHub repository octocat@583231/hello@1296269: preparing its roles" in again.stdout

    def test_finds_the_api_after_the_first_deployment(self, first: Done, command: Command, client: Client) -> None:
        """The roles then know the API by its ID, as well as by its tag."""
        s3, key = client("s3"), "path-to-live.tfstate"
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"outputs": {"api_id": {"value": "a1b2c3"}}}).encode())
        try:
            found = command()
            assert found.returncode == 0, found.stderr
            policy = client("iam").get_role_policy(RoleName="path-to-live-deploy-dev", PolicyName="deploy")
            known = f"arn:aws:apigateway:{REGION}::/apis/a1b2c3/deployments"
            assert known in json.dumps(policy["PolicyDocument"])
        finally:
            s3.delete_object(Bucket=BUCKET, Key=key)

    @pytest.mark.long
    def test_deletes_what_an_earlier_version_of_the_command_left(
        self, first: Done, command: Command, checkout: Checkout
    ) -> None:
        stray = checkout.path / ".local" / "bootstrap" / f"{ACCOUNT}-{REGION}" / "deploy.tf"
        stray.write_text("no Terraform")
        assert command().returncode == 0
        assert not stray.exists()

    def test_every_command_of_the_documents_was_run(self, first: Done, checkout: Checkout) -> None:
        assert documents.bootstrap_commands() <= {command.strip() for command in checkout.ran}

    @pytest.mark.long
    def test_asks_github_for_ids_that_are_missing_in_an_older_state(
        self, first: Done, command: Command, client: Client, tmp_path: Path
    ) -> None:
        s3 = client("s3")
        state = json.loads(s3.get_object(Bucket=BUCKET, Key="bootstrap.tfstate")["Body"].read())
        state["outputs"]["github_repository"] = {"value": "octocat/hello", "type": "string"}
        s3.put_object(Bucket=BUCKET, Key="bootstrap.tfstate", Body=json.dumps(state).encode())
        write_gh(tmp_path, "echo 'run: gh auth login' >&2; exit 4")
        refused = command(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        assert refused.returncode != 0
        assert "The GitHub IDs of octocat/hello are unknown" in refused.stderr
        write_gh(tmp_path, "printf '%s\\n' octocat 583231 hello 1296269")
        asked = command(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        assert asked.returncode == 0, asked.stderr
        assert "0 added, 0 changed, 0 destroyed" in asked.stdout
        state = json.loads(s3.get_object(Bucket=BUCKET, Key="bootstrap.tfstate")["Body"].read())
        assert state["outputs"]["github_repository"]["value"] == REPOSITORY

    @pytest.mark.long
    def test_imports_what_exists(self, first: Done, client: Client, command: Command, checkout: Checkout) -> None:
        client("s3").delete_object(Bucket=BUCKET, Key="bootstrap.tfstate")
        main = checkout.path / "terraform" / "bootstrap" / "main.tf"
        # The lifecycle rules would take a minute.
        main.write_text(
            re.sub(r'resource "aws_s3_bucket_lifecycle_configuration".*?\n}\n', "", main.read_text(), flags=re.S)
        )
        config = checkout.path / "terraform" / "config.tf"
        config.write_text(
            config.read_text().replace("    live =", '    qa   = { gateway_deployment = "1" }\n    live =')
        )
        alone = command()
        assert alone.returncode == 0, alone.stderr
        assert "Apply complete! Resources: 2 imported, " in alone.stdout
        assert "kms_key_arn" not in alone.stdout
        client("s3").delete_object(Bucket=BUCKET, Key="bootstrap.tfstate")
        taken = command("GITHUB_REPOSITORY=octocat@583231/hello@1296269")
        assert taken.returncode == 0, taken.stderr
        # The bucket, three policies, five roles, the identity provider, the key, and its alias
        assert re.search(r"Apply complete! Resources: 12 imported, \d+ added, \d+ changed, 0 destroyed", taken.stdout)
        # Each stage of config.tf has a role and an environment.
        assert client("iam").get_role(RoleName="path-to-live-deploy-qa")["Role"]
        assert "create: plan, infrastructure, dev, test, qa, live" in taken.stdout
        assert client("s3").list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"] == "bootstrap.tfstate"


def test_bootstrap_refuses_another_region_of_a_prepared_account(command: Command, client: Client) -> None:
    iam, name = client("iam"), "path-to-live-boundary"
    document = {"Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}]}
    with contextlib.ExitStack() as stack:
        # The tests before may have prepared the account.
        with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
            made = iam.create_policy(
                PolicyName=name, PolicyDocument=json.dumps(document), Description=f"Roles in {REGION}"
            )
            stack.callback(iam.delete_policy, PolicyArn=made["Policy"]["Arn"])
        refused = command(AWS_REGION="eu-central-1")
    assert refused.returncode != 0
    assert f"Account {ACCOUNT} is already prepared for another Region: " in refused.stderr
    assert f" in {REGION}. IAM has no Regions" in refused.stderr


def test_bootstrap_refuses_a_bucket_of_the_user(command: Command) -> None:
    refused = command(STATE_BUCKET=f"mine-{uuid.uuid4().hex}")
    assert refused.returncode != 0
    assert "STATE_BUCKET names a bucket of your own" in refused.stderr


def test_bootstrap_refuses_an_invalid_repository(command: Command) -> None:
    refused = command("GITHUB_REPOSITORY=octocat")
    assert refused.returncode != 0
    assert "octocat is not a GitHub repository. Use GITHUB_REPOSITORY=owner/name" in refused.stderr


def test_bootstrap_passes_no_value_to_a_shell(command: Command, checkout: Checkout) -> None:
    refused = command(GITHUB_REPOSITORY="octocat/hello;>owned")
    assert "octocat/hello;>owned is not a GitHub repository" in refused.stderr
    assert not (checkout.path / "owned").exists()


def write_gh(directory: Path, script: str) -> None:
    """Write a program that replaces GitHub's CLI and records its arguments."""
    path = directory / "gh"
    path.write_text(f'#!/bin/sh\necho "$@" >> "{directory}/calls"\n{script}\n')
    path.chmod(0o755)


class TestGitHubRepository:
    """The source of the ids of owner and repository."""

    @pytest.fixture(autouse=True)
    @staticmethod
    def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Allow only the programs that a test writes."""
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    @pytest.mark.parametrize(
        ("given", "name"),
        [
            (Given(), "octocat@583231/hello@1296269"),
            (Given(owner_id="583231", id="1296269"), "octocat/hello"),
            (Given(owner_id="583231"), "octocat/hello@1296269"),
            (Given(id="1296269"), "octocat@583231/hello"),
            (Given(owner_id="583231", id="1296269"), "octocat@583231/hello@1296269"),
        ],
    )
    def test_uses_the_given_ids(self, path: Path, given: Given, name: str) -> None:
        write_gh(path, "exit 1")
        assert given.identified(name) == Repository(**REPOSITORY)
        assert not (path / "calls").exists()

    @pytest.mark.parametrize(
        "given", [Given(), Given(owner_id="583231"), Given(id="1296269"), Given(owner_id="", id="")]
    )
    @pytest.mark.parametrize("name", ["octocat/hello", "Octocat/HELLO"])
    def test_asks_gh_for_missing_ids(self, path: Path, given: Given, name: str) -> None:
        write_gh(path, "printf '%s\\n' octocat 583231 hello 1296269")
        assert given.identified(name) == Repository(**REPOSITORY)
        called = f"api --hostname github.com repos/{name} --jq .owner.login, .owner.id, .name, .id\n"
        assert (path / "calls").read_text() == called

    @pytest.mark.parametrize(
        ("gh", "reason"),
        [
            (None, "and gh is not installed."),
            (
                "echo 'To get started with GitHub CLI, please run:  gh auth login' >&2; exit 4",
                "please run:  gh auth login",
            ),
            ("echo 'gh: Not Found (HTTP 404)' >&2; exit 1", "gh: Not Found (HTTP 404)"),
        ],
    )
    def test_prints_both_remedies_if_gh_fails(self, path: Path, gh: str | None, reason: str) -> None:
        if gh:
            write_gh(path, gh)
        with pytest.raises(CommandError) as error:
            Given().identified("octocat/hello")
        said = str(error.value)
        assert said.startswith("The GitHub IDs of octocat/hello are unknown")
        assert reason in said
        assert "Install gh (https://cli.github.com), log in with 'gh auth login'" in said
        assert "GITHUB_REPOSITORY=octocat/hello GITHUB_REPOSITORY_OWNER_ID=... GITHUB_REPOSITORY_ID=..." in said
        assert "curl https://api.github.com/repos/octocat/hello" in said

    def test_refuses_the_previous_name_of_a_repository(self, path: Path) -> None:
        write_gh(path, "printf '%s\\n' hubot 2 goodbye 1296269")
        with pytest.raises(CommandError, match="octocat/hello is now hubot/goodbye") as error:
            Given().identified("octocat/hello")
        assert "make bootstrap GITHUB_REPOSITORY=hubot/goodbye" in str(error.value)

    @pytest.mark.parametrize(
        ("given", "name", "message"),
        [
            (
                Given(owner_id="1"),
                "octocat@2/hello@3",
                "GITHUB_REPOSITORY_OWNER_ID is 1, but octocat@2/hello@3 has the ID 2",
            ),
            (Given(id="1"), "octocat@2/hello@3", "GITHUB_REPOSITORY_ID is 1, but octocat@2/hello@3 has the ID 3"),
            (Given(owner_id="1"), "octocat/hello", "GITHUB_REPOSITORY_OWNER_ID is 1, but GitHub has the ID 583231"),
            (Given(id="1"), "octocat/hello", "GITHUB_REPOSITORY_ID is 1, but GitHub has the ID 1296269"),
        ],
    )
    def test_refuses_ids_that_contradict(self, path: Path, given: Given, name: str, message: str) -> None:
        write_gh(path, "printf '%s\\n' octocat 583231 hello 1296269")
        with pytest.raises(CommandError, match=message):
            given.identified(name)

    @pytest.mark.parametrize(
        "name",
        [
            "octocat",
            "octocat/",
            "/hello",
            "octocat/hello/world",
            "octocat/..",
            "octocat/.",
            "octocat/..@1",
            "octocat@x/hello@1",
            "octocat@/hello@",
            "octocat/*",
            "octocat/hello?x",
            "octocat/hello.git",
            "octocat@1/hello.git@2",
            "octocat/hello\n",
        ],
    )
    def test_refuses_an_invalid_repository_before_it_asks_gh(self, path: Path, name: str) -> None:
        write_gh(path, "exit 1")
        with pytest.raises(CommandError, match="is not a GitHub repository"):
            Given().identified(name)
        assert not (path / "calls").exists()


class TestSettings:
    """The file from which Terraform reads what the command created."""

    OUTPUTS: ClassVar = {"permissions_boundary_arn": "arn:boundary", "topic_key_arn": "arn:key"}

    @pytest.fixture
    @staticmethod
    def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(target, "SOURCE", tmp_path)
        return tmp_path

    def write(self, source: Path, outputs: dict[str, Any], *, endpoint: str | None = None) -> str | None:
        bootstrap_command._write_settings(mock.Mock(endpoint=endpoint), outputs)
        file = source / "bootstrap.auto.tfvars"
        return file.read_text() if file.exists() else None

    def test_names_the_boundary_and_the_key(self, source: Path) -> None:
        assert self.write(source, self.OUTPUTS) == (
            "# Written by make bootstrap.\n"
            'permissions_boundary_arn = "arn:boundary"\n'
            'kms_key_arn              = "arn:key"\n'
        )
        assert self.write(source, {"permissions_boundary_arn": "arn:boundary"}) == (
            '# Written by make bootstrap.\npermissions_boundary_arn = "arn:boundary"\n'
        )

    def test_leaves_out_what_the_user_has_set(self, source: Path) -> None:
        (source / "terraform.tfvars").write_text('# permissions_boundary_arn = "x"\n  kms_key_arn="mine"\n')
        assert self.write(source, self.OUTPUTS) == (
            '# Written by make bootstrap.\npermissions_boundary_arn = "arn:boundary"\n'
        )
        (source / "terraform.tfvars").write_text('permissions_boundary_arn = "mine"\nkms_key_arn = "mine"\n')
        assert self.write(source, self.OUTPUTS) is None

    def test_changes_nothing_for_an_emulator(self, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.write(source, self.OUTPUTS, endpoint="http://127.0.0.1:4566") is None
        assert "On AWS, this command also writes terraform/bootstrap.auto.tfvars:\n" in capsys.readouterr().out
