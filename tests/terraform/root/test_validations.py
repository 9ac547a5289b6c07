"""Every validation and precondition, with a plan that it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.root.test_root import DOMAINS
from tests.terraform.support import PINNED, SOURCE, Configuration, write_config

RATES = "alarms.api_5xx_rate_percent and alarms.error_rate_percent must be at least 0 and less than 100."
LEAST = "alarms.duration_p99_milliseconds and alarms.throttles must be at least 1."
ZONE = "Z0123456789ABCDEFGHIJ"
LONDON = "arn:aws:acm:eu-west-2:000000000000:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
SHARED = "Stages that share a domain must have the same certificate_arn and hosted_zone_id in domains."
ROOT_VARIABLES: list[tuple[dict[str, Any], str]] = [
    ({"alarms": {"error_rate_percent": 100}}, RATES),
    ({"alarms": {"api_5xx_rate_percent": -1}}, RATES),
    ({"alarms": {"duration_p99_milliseconds": 0}}, LEAST),
    ({"alarms": {"throttles": 0}}, LEAST),
    (
        {"domains": {"prod": {"name": "api.example.com", "hosted_zone_id": ZONE}}},
        "domains has entries for stages that config.tf does not have: prod. The stages of config.tf are dev, live, "
        "test. If you have renamed or removed a stage, change domains, too.",
    ),
    (
        {
            "domains": {
                "live": {"name": "api.example.com", "certificate_arn": LONDON},
                "test": {"name": "api.example.com", "base_path": "test", "hosted_zone_id": ZONE},
            }
        },
        SHARED,
    ),
    (
        {
            "domains": {
                "live": {"name": "api.example.com", "hosted_zone_id": ZONE},
                "test": {"name": "api.example.com", "base_path": "test", "hosted_zone_id": f"{ZONE}A"},
            }
        },
        SHARED,
    ),
    (
        {"permissions_boundary_arn": "path-to-live-boundary"},
        "permissions_boundary_arn must be the ARN of a managed policy",
    ),
    ({"alert_emails": ["on-call"]}, "alert_emails must be email addresses, such as on-call@example.com."),
    (
        {"function": {"log_level": "debug"}},
        "function.log_level must be DEBUG, INFO, WARNING, or ERROR.",
    ),
    ({"function": {"memory_megabytes": 127}}, "function.memory_megabytes must be a whole number from 128 to 10240."),
    ({"function": {"memory_megabytes": 10241}}, "function.memory_megabytes must be a whole number from 128 to 10240."),
    ({"function": {"memory_megabytes": 128.5}}, "function.memory_megabytes must be a whole number from 128 to 10240."),
    ({"function": {"timeout_seconds": 30}}, "function.timeout_seconds must be a whole number from 1 to 29."),
    ({"function": {"timeout_seconds": 0}}, "function.timeout_seconds must be a whole number from 1 to 29."),
    ({"log_retention_days": 31}, "log_retention_days must be a retention period that CloudWatch Logs supports: 1, 3,"),
    ({"name": "Path"}, "name must be 2 to 32 lowercase letters, digits, and hyphens, and start with a letter."),
    ({"name": "p" * 33}, "name must be 2 to 32 lowercase letters, digits, and hyphens, and start with a letter."),
    ({"region": "London"}, "region must be the code of an AWS Region, such as eu-west-2."),
    (
        {"releases": {"prod": {"steps": []}}},
        "releases has entries for stages that config.tf does not have: prod. The stages of config.tf are dev, live, "
        "test. If you have renamed or removed a stage, change releases, too.",
    ),
    (
        {"runbook": "docs/runbook.md"},
        "runbook must be a URL without a fragment, such as https://github.com/octocat/hello",
    ),
    ({"runbook": "https://example.com/a#b"}, "runbook must be a URL without a fragment, such as https://github.com/"),
    ({"tags": {"AWS:cost": "1"}}, "tags must have keys of 1 to 128 characters that do not start with aws:"),
    (
        {"throttles": {"prod": {"burst": 1}, "live": {}, "qa": {}}},
        "throttles has entries for stages that config.tf does not have: prod, qa. The stages of config.tf are dev, "
        "live, test. If you have renamed or removed a stage, change throttles, too.",
    ),
]

# Validations that depend on another variable. Terraform checks them only if all others succeed.
DEPENDENT_VARIABLES: list[tuple[dict[str, Any], str]] = [
    (
        {"default_endpoint": False},
        "default_endpoint can be false only if every stage has a domain. Without the endpoint, these stages would have "
        "no URL: dev, live, test. Add them to domains.",
    ),
    (
        {"default_endpoint": False, "domains": {"live": {"name": "a.example.com"}, "dev": {"name": "b.example.com"}}},
        "Without the endpoint, these stages would have no URL: test. Add them to domains.",
    ),
    (
        {"domains": {"live": {"name": "api.example.com", "certificate_arn": LONDON.replace("eu-west-2", "us-east-1")}}},
        "certificate_arn in domains must be a certificate in the Region of the API, eu-west-2.",
    ),
    (
        {"domains": {"live": {"name": "api.example.com", "certificate_arn": LONDON}}, "region": "eu-west-1"},
        "certificate_arn in domains must be a certificate in the Region of the API, eu-west-1.",
    ),
]

CONFIGURATIONS: list[tuple[dict[str, Any], list[str], str]] = [
    (
        {"live": {"function_version": "seven", "gateway_deployment": "1"}},
        ["1"],
        'Stage live: function_version must be a version number or "newest", not "seven".',
    ),
    (
        {"live": {"function_version": "0", "gateway_deployment": "1"}},
        ["1"],
        'Stage live: function_version must be a version number or "newest", not "0".',
    ),
    (
        {"live": {"function_version": "", "gateway_deployment": "1"}},
        ["1"],
        'Stage live: function_version must be a version number or "newest", not "".',
    ),
    ({"live": {"function_version": ["7"], "gateway_deployment": "1"}}, ["1"], "cannot convert tuple to string"),
    (
        {"live": {"function_version": "newest", "gateway_deployment": "3"}},
        ["1", "2"],
        'Stage live is pinned to the gateway deployment "3", which is not in gateway_deployments. '
        'In config.tf, pin the stage to "newest" or to one of: 1, 2.',
    ),
    (
        PINNED,
        ["newest"],
        "gateway_deployments must contain names of 1 to 64 letters, digits, dots, hyphens, and underscores, other than",
    ),
    (
        PINNED,
        ["with space"],
        "gateway_deployments must contain names of 1 to 64 letters, digits, dots, hyphens, and underscores, other than",
    ),
    (PINNED, ["1", "1"], "gateway_deployments must contain each name only once."),
    (
        {"7": {"function_version": "newest", "gateway_deployment": "newest"}},
        ["1"],
        '"7" is not a valid stage name. Use 1 to 128 letters, digits, hyphens, and underscores, and not digits alone.',
    ),
]


GOOD_DOMAINS: list[dict[str, Any]] = [
    {"domains": DOMAINS, "default_endpoint": False},
    {"domains": {"live": DOMAINS["live"]}},
]
ROOT_FILES = [SOURCE / "variables.tf", SOURCE / "config.tf"]


Errors = Callable[[dict[str, Any]], list[str]]


def planned(directory: Path, files: Sequence[Path], cases: Sequence[dict[str, Any]]) -> Errors:
    """Plan the variables of these files once with the values of all cases, and return a function that looks up errors.

    Each case calls the same module in a separate file, which its errors name.
    """
    (directory / "variables").mkdir()
    for file in files:
        shutil.copy(file, directory / "variables")
    (directory / "terraform.tf").touch()
    names = {}
    for number, case in enumerate(cases):
        name = names[repr(case)] = f"case_{number}"
        # The values are literal, as in terraform.tfvars.json, and contain no templates.
        values = json.dumps({"source": "./variables", **case}).replace("${", "$${").replace("%{", "%%{")
        (directory / f"{name}.tf.json").write_text(f'{{"module": {{"{name}": {values}}}}}')
    found = Configuration(directory).diagnostics()

    def errors(case: dict[str, Any]) -> list[str]:
        return [error["detail"] for error in found if error["range"]["filename"] == f"{names[repr(case)]}.tf.json"]

    assert len(found) == sum(len(errors(case)) for case in cases), found
    return errors


@pytest.fixture(scope="module")
def root_errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """Plan the variables of the root module with the config.tf that they refer to."""
    cases = [{}, *(variables for variables, _ in ROOT_VARIABLES)]
    return planned(tmp_path_factory.mktemp("root"), ROOT_FILES, cases)


@pytest.fixture(scope="module")
def dependent_errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    cases = [*(variables for variables, _ in DEPENDENT_VARIABLES), *GOOD_DOMAINS]
    return planned(tmp_path_factory.mktemp("dependent"), ROOT_FILES, cases)


def test_root_variables_have_valid_defaults(root_errors: Errors) -> None:
    assert root_errors({}) == []


def test_root_plans_without_variables(planned_root: Any) -> None:
    assert not planned_root.errored


@pytest.mark.parametrize(("variables", "message"), ROOT_VARIABLES)
def test_root_refuses_an_invalid_variable(root_errors: Errors, variables: dict[str, Any], message: str) -> None:
    (refusal,) = root_errors(variables)
    assert message in refusal


@pytest.mark.parametrize(("variables", "message"), DEPENDENT_VARIABLES)
def test_root_refuses_variables_that_do_not_fit_together(
    dependent_errors: Errors, variables: dict[str, Any], message: str
) -> None:
    (refusal,) = dependent_errors(variables)
    assert message in refusal


@pytest.mark.parametrize("variables", GOOD_DOMAINS)
def test_root_accepts_valid_domains(dependent_errors: Errors, variables: dict[str, Any]) -> None:
    assert dependent_errors(variables) == []


@pytest.fixture
def configured(root: Configuration) -> Iterator[Callable[..., str]]:
    """Yield a function that returns the reason why a config.tf is refused."""
    before = (root.directory / "config.tf").read_text()

    def refusal(stages: dict[str, Any], gateway_deployments: list[str]) -> str:
        write_config(root.directory, stages, gateway_deployments)
        return root.variables().refusal()

    yield refusal
    (root.directory / "config.tf").write_text(before)


@pytest.mark.parametrize(("stages", "gateway_deployments", "message"), CONFIGURATIONS)
def test_root_refuses_an_invalid_config(
    configured: Callable[..., str], stages: dict[str, Any], gateway_deployments: list[str], message: str
) -> None:
    refusal = configured(stages, gateway_deployments)
    assert message in refusal
    assert refusal.count("Error:") == 1


def test_root_refuses_to_deploy_without_an_artifact(root: Configuration) -> None:
    artifact = root.directory.parent / "dist" / "lambda.zip"
    hidden = artifact.rename(artifact.with_suffix(".hidden"))
    try:
        refusal = root.variables().refusal()
    finally:
        hidden.rename(artifact)
    assert "Artifact ./../dist/lambda.zip not found. Build it with: make build" in refusal


@pytest.mark.parametrize(
    ("releases", "message"),
    [
        ({"live": {"step_seconds": 90}}, "Releases of live: step_seconds must be a multiple of 60."),
        (
            {"test": {"bake_seconds": 0, "max_extensions": 0, "timeout_seconds": 840}, "live": {}},
            "A release of test can take 840 seconds, with all extensions of its steps, and times out after 840.",
        ),
    ],
)
def test_root_gives_each_stage_its_own_settings_of_releases(
    root: Configuration, releases: dict[str, Any], message: str
) -> None:
    refusal = root.variables(releases=releases).refusal()
    assert message in refusal
    assert refusal.count("Error:") == 1


def test_root_refuses_a_workspace_too_long_for_a_name(root: Configuration) -> None:
    workspace = "w" * 60
    root.run("workspace", "new", workspace)
    try:
        refusal = root.variables().refusal()
    finally:
        root.run("workspace", "select", "default")
    assert f'"path-to-live-{workspace}" is not a valid function name' in refusal
    assert "choose a shorter or simpler workspace name." in refusal


def test_root_refuses_a_workspace_too_long_for_a_role(root: Configuration) -> None:
    workspace = "w" * 40
    root.run("workspace", "new", workspace)
    try:
        refusal = root.variables().refusal()
    finally:
        root.run("workspace", "select", "default")
    assert f"The name of the role path-to-live-{workspace}-live-rollback would exceed 64 characters." in refusal
    assert "Choose a shorter name for the stage, the service, or the workspace:" in refusal


@pytest.mark.parametrize("stage", ["7", "$default", "with space"])
def test_alias_refuses_an_invalid_stage(module: Callable[[str], Configuration], stage: str) -> None:
    refusal = (
        module("alias")
        .variables(
            api_execution_arn="arn:aws:execute-api:eu-west-2:000000000000:abc",
            function_name="greeter",
            function_version="9",
            newest_version="9",
            stage=stage,
        )
        .refusal()
    )
    assert f'"{stage}" is not a valid stage name. Use 1 to 128 letters, digits, hyphens, and underscores' in refusal


def test_alias_refuses_a_version_that_does_not_exist_yet(module: Callable[[str], Configuration]) -> None:
    refusal = (
        module("alias")
        .variables(
            api_execution_arn="arn:aws:execute-api:eu-west-2:000000000000:abc",
            function_name="greeter",
            function_version="10",
            newest_version="9",
            stage="live",
        )
        .refusal()
    )
    assert (
        "Stage live is pinned to version 10, but the newest version of greeter is 9. In config.tf, pin the stage "
        "to a version that exists, or remove its function_version to use the newest version."
    ) in refusal


REPOSITORY: dict[str, Any] = {"id": "1296269", "name": "hello", "owner": "octocat", "owner_id": "583231"}
OWNER = "github_repository.owner must be 1 to 39 letters, digits, hyphens, and underscores, and start with a letter or"
BAD_OWNERS = [
    "",
    "*",
    "octo*",
    "octo/cat",
    "octo cat",
    "-octocat",
    "_octocat",
    "octo.cat",
    "o" * 40,
    "octo\ncat",
    "${x}",
    None,
]
NAME = "github_repository.name must be 1 to 100 letters, digits, dots, hyphens, and underscores. It must not be"
BAD_NAMES = [
    "",
    "*",
    "hel?o",
    "hello/world",
    ".",
    "..",
    ".git",
    "hello.git",
    "h" * 101,
    "hello\n",
    "hello:environment",
    None,
]


BOOTSTRAP_VARIABLES: list[tuple[dict[str, Any], str]] = [
    *(({"github_repository": REPOSITORY | {"owner": owner}}, OWNER) for owner in BAD_OWNERS),
    *(({"github_repository": REPOSITORY | {"name": name}}, NAME) for name in BAD_NAMES),
    *(
        (
            {"github_repository": REPOSITORY | {attribute: number}},
            f"github_repository.{attribute} must be the numeric ID",
        )
        for attribute in ("id", "owner_id")
        for number in ("", "*", "12?", "12a", "-1", "1\n2", None)
    ),
    *(
        ({"domains": {"live": {"name": name, "hosted_zone_id": ZONE}}}, "domains must have names in lowercase without")
        for name in ("*.example.com", "API.example.com", "api.example.com/x", "")
    ),
    (
        {"domains": {"live": {"name": "api.example.com", "hosted_zone_id": "*"}}},
        "hosted_zone_id in domains must be the ID of a hosted zone, such as Z0123456789ABCDEFGHIJ.",
    ),
    (
        {"domains": {"live": {"name": "api.example.com"}}},
        "Each entry of domains needs a hosted_zone_id, a certificate_arn, or both.",
    ),
    ({"stages": ["live", "*"]}, "stages must be names of letters, digits, hyphens, and underscores. A wildcard"),
    ({"state_retention_days": 0}, "state_retention_days must be at least 1."),
]
GOOD_REPOSITORIES = [
    # A name of Enterprise Managed Users: a name, an underscore, and the enterprise's short code.
    {"owner": "octocat_acme"},
    {"owner": "o" * 39, "name": "n" * 100},
    {"owner": "0", "name": "_.-"},
    {"name": "..."},
    {"name": ".github"},
    {"name": "hello.git-mirror"},
]


@pytest.fixture(scope="module")
def bootstrap_errors(tmp_path_factory: pytest.TempPathFactory) -> Errors:
    good = [{"github_repository": REPOSITORY | changes} for changes in GOOD_REPOSITORIES]
    cases = [*(variables for variables, _ in BOOTSTRAP_VARIABLES), *good, {"domains": DOMAINS}]
    return planned(tmp_path_factory.mktemp("bootstrap"), [SOURCE / "bootstrap" / "variables.tf"], cases)


@pytest.mark.parametrize(("variables", "message"), BOOTSTRAP_VARIABLES)
def test_bootstrap_refuses_an_invalid_variable(
    bootstrap_errors: Errors, variables: dict[str, Any], message: str
) -> None:
    (refusal,) = bootstrap_errors(variables)
    assert message in refusal


def test_bootstrap_accepts_the_domains_of_the_root_module(bootstrap_errors: Errors) -> None:
    assert bootstrap_errors({"domains": DOMAINS}) == []


@pytest.mark.parametrize("changes", GOOD_REPOSITORIES)
def test_bootstrap_accepts_a_valid_repository(bootstrap_errors: Errors, changes: dict[str, str]) -> None:
    assert bootstrap_errors({"github_repository": REPOSITORY | changes}) == []
