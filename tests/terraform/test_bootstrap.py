"""What an AWS account gets once: planned, applied by the command, and applied again."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.checkout import Checkout
from tests.conftest import REGION
from tests.terraform.support import SOURCE, Configuration, copy

Client = Callable[[str], Any]
ACCOUNT = "000000000000"
Done = subprocess.CompletedProcess[str]
Command = Callable[..., Done]
BUCKET = f"path-to-live-state-{ACCOUNT}-{REGION}"


@pytest.fixture(scope="module")
def bootstrap(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return Configuration(copy(tmp_path_factory.mktemp("bootstrap") / "bootstrap", SOURCE / "bootstrap"))


@pytest.fixture(scope="module")
def alone(bootstrap: Configuration) -> Any:
    return bootstrap.variables().plan()


@pytest.fixture(scope="module")
def with_repository(bootstrap: Configuration) -> Any:
    return bootstrap.variables(github_repository="octocat/hello", stages=["dev", "live"]).plan()


def managed(plan: Any) -> set[str]:
    return {address for address, change in plan.resource_changes.items() if change["mode"] == "managed"}


def statements(document: str) -> dict[str, Any]:
    return {statement["Sid"]: statement for statement in json.loads(document)["Statement"]}


def test_bootstrap_without_repository_makes_the_bucket_alone(alone: Any) -> None:
    assert managed(alone) == {
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


def test_bootstrap_role_trusts_the_environments_of_the_repository_alone(with_repository: Any) -> None:
    (trust,) = (
        resource["expressions"]["assume_role_policy"]["references"]
        for resource in with_repository.configuration["root_module"]["resources"]
        if resource["address"] == "aws_iam_role.deploy"
    )
    assert "data.aws_iam_policy_document.deploy_trust[0].json" in trust
    assert {"aws_iam_openid_connect_provider.github[0]", "aws_iam_role.deploy[0]"} <= managed(with_repository)


def test_bootstrap_takes_the_accounts_identity_provider(bootstrap: Configuration) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    plan = bootstrap.variables(github_repository="octocat/hello", github_oidc_provider_arn=arn).plan()
    assert "aws_iam_openid_connect_provider.github[0]" not in managed(plan)
    trust = statements(plan.resources["aws_iam_role.deploy[0]"]["values"]["assume_role_policy"])
    assert trust == {
        "JobsInTheEnvironmentsOfTheStages": {
            "Sid": "JobsInTheEnvironmentsOfTheStages",
            "Effect": "Allow",
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": arn},
            "Condition": {
                "StringEquals": {
                    "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                    "token.actions.githubusercontent.com:sub": [
                        "repo:octocat/hello:environment:dev",
                        "repo:octocat/hello:environment:live",
                        "repo:octocat/hello:environment:test",
                    ],
                }
            },
        }
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with Checkout(tmp_path_factory.mktemp("bootstrap") / "checkout") as checkout:
        yield checkout


@pytest.fixture(scope="module")
def command(checkout: Checkout, endpoint: str) -> Command:
    def run(arguments: str = "", **environment: str) -> Done:
        return checkout.run(f"make bootstrap {arguments}", AWS_ENDPOINT_URL=endpoint, **environment)

    return run


class TestCommand:
    """Applied three times; the provider waits a minute for the bucket's life cycle."""

    @pytest.fixture(scope="class")
    @staticmethod
    def first(command: Command) -> Done:
        return command("GITHUB_REPOSITORY=octocat/hello")

    def test_makes_bucket_and_role(self, first: Done, client: Client) -> None:
        assert first.returncode == 0, first.stderr
        assert f"Terraform's state goes to the bucket {BUCKET}" in first.stdout
        role = client("iam").get_role(RoleName="path-to-live-deploy")["Role"]
        assert f"GitHub Actions deploys with {role['Arn']}" in first.stdout

    def test_keeps_its_state_in_the_bucket(self, first: Done, client: Client, checkout: Checkout) -> None:
        items = client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
        assert [item["Key"] for item in items] == ["bootstrap.tfstate"]
        assert not list((checkout.path / ".local" / "bootstrap" / f"{ACCOUNT}-{REGION}").glob("terraform.tfstate*"))

    def test_bucket_refuses_what_is_not_encrypted_on_its_way(self, first: Done, client: Client) -> None:
        policy = client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"]
        assert statements(policy) == {
            "RefuseWhatIsNotEncryptedOnItsWay": {
                "Sid": "RefuseWhatIsNotEncryptedOnItsWay",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{BUCKET}/*", f"arn:aws:s3:::{BUCKET}"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        }

    def test_role_reaches_the_service_alone(self, first: Done, client: Client) -> None:
        answer = client("iam").get_role_policy(RoleName="path-to-live-deploy", PolicyName="deploy")
        document = statements(json.dumps(answer["PolicyDocument"]))
        everything = [sid for sid, statement in document.items() if statement["Resource"] == "*"]
        assert sorted(everything) == ["FindWhatCannotBeNamedAndDeliverLogs", "MakeTheTopicsKey"]
        assert document["MakeTheTopicsKey"]["Condition"] == {
            "StringEquals": {"aws:RequestTag/Service": "path-to-live"},
        }
        for service, role in (("lambda", ""), ("states", "-release"), ("events", "-release-roll-back")):
            sid = f"GiveItsRoleTo{service.title()}"
            assert document[sid] == {
                "Sid": sid,
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": f"arn:aws:iam::{ACCOUNT}:role/path-to-live{role}",
                "Condition": {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
            }
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        assert len(json.dumps(answer["PolicyDocument"], separators=(",", ":"))) <= 10_240
        function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:path-to-live"
        assert set(document["PublishVersionsAndPointAliasesAtThem"]["Resource"]) == {function, f"{function}:*"}
        actions = json.dumps([statement["Action"] for statement in document.values()])
        assert "*" not in actions
        for refused in (
            "iam:AttachRolePolicy",
            "iam:DeleteRole",
            "kms:Decrypt",
            "lambda:DeleteFunction",
            "lambda:InvokeFunction",
            "states:DeleteStateMachine",
        ):
            assert f'"{refused}"' not in actions

    def test_again_changes_nothing_and_keeps_the_repository(self, first: Done, command: Command) -> None:
        again = command()
        assert again.returncode == 0, again.stderr
        assert "No changes." in again.stdout
        assert "path-to-live-deploy" in again.stdout

    def test_takes_over_a_bucket_that_is_there(
        self, first: Done, client: Client, command: Command, checkout: Checkout
    ) -> None:
        client("s3").delete_object(Bucket=BUCKET, Key="bootstrap.tfstate")
        main = checkout.path / "terraform" / "bootstrap" / "main.tf"
        # The life cycle alone would take a minute.
        main.write_text(
            re.sub(r'resource "aws_s3_bucket_lifecycle_configuration".*?\n}\n', "", main.read_text(), flags=re.S)
        )
        taken = command()
        assert "0 destroyed" in taken.stdout
        assert client("s3").list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"] == "bootstrap.tfstate"


def test_bootstrap_refuses_a_bucket_of_ones_own(command: Command) -> None:
    refused = command(STATE_BUCKET=f"mine-{uuid.uuid4().hex}")
    assert refused.returncode != 0
    assert "STATE_BUCKET names a bucket of your own" in refused.stderr


def test_bootstrap_refuses_what_is_no_repository(command: Command) -> None:
    refused = command("GITHUB_REPOSITORY=octocat")
    assert refused.returncode != 0
    assert "github_repository must be owner/name" in " ".join(refused.stderr.split())
