"""TARGET=local ignores the user's AWS settings."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import botocore.utils
import pytest

from pathtolive import local_aws, target
from pathtolive.cli import CommandError

URL = "http://127.0.0.1:4566"
DEAD_PROXY = "http://127.0.0.1:9"
HOSTILE = {
    "AWS_CA_BUNDLE": "/nowhere.pem",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_ENDPOINT_URL_S3": "https://s3.eu-west-1.amazonaws.com",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_PROFILE": "nobody",
    "AWS_REGION": "us-east-1",
    "AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/other",
    "AWS_SESSION_TOKEN": "expired",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "HTTP_PROXY": DEAD_PROXY,
    "http_proxy": DEAD_PROXY,
}


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure local AWS in an isolated environment."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["TARGET"] = "local"
    monkeypatch.setattr(local_aws, "url", lambda: URL)


def test_local_aws_ignores_the_users_region_profile_and_endpoints() -> None:
    os.environ |= HOSTILE
    found = target.from_environment()
    assert found == target.Target(URL, target.DEFAULT_REGION)
    own = {name: value for name, value in found.environment.items() if name.startswith("AWS_")}
    assert own == {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": target.DEFAULT_REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": URL,
        "AWS_REGION": target.DEFAULT_REGION,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def test_local_aws_is_reached_without_the_users_profile() -> None:
    os.environ |= HOSTILE
    client = target.from_environment().client("lambda")
    assert (client.meta.endpoint_url, client.meta.region_name) == (URL, target.DEFAULT_REGION)


@pytest.mark.parametrize("excluded", ["", "example.com,10.0.0.1", "*"])
def test_local_aws_is_reached_without_the_users_proxy(excluded: str) -> None:
    os.environ |= HOSTILE | {"no_proxy": excluded}
    target.from_environment()
    for host in ("127.0.0.1", "localhost"):
        assert urllib.request.proxy_bypass(host)
        assert botocore.utils.get_environ_proxies(f"http://{host}:4566") == {}
    assert set(filter(None, excluded.split(","))) <= set(os.environ["no_proxy"].split(","))
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"]


def test_local_aws_is_reached_without_settings() -> None:
    assert target.from_environment() == target.Target(URL, target.DEFAULT_REGION)


def test_endpoint_of_the_user_keeps_its_credentials_and_certificates() -> None:
    os.environ |= HOSTILE | {"AWS_ENDPOINT_URL": "http://emulator:4566/", "AWS_ACCESS_KEY_ID": "key"}
    found = target.from_environment()
    assert found == target.Target("http://emulator:4566", "us-east-1")
    assert found.environment["AWS_ACCESS_KEY_ID"] == "key"
    assert found.environment["AWS_CA_BUNDLE"] == "/nowhere.pem"
    assert "AWS_PROFILE" not in found.environment
    assert "AWS_ENDPOINT_URL_S3" not in found.environment


def test_local_aws_that_is_not_running_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_aws, "url", lambda: None)
    # Local AWS of this checkout may be running, or may have ended.
    monkeypatch.setattr(local_aws, "LOCK", tmp_path / "lock")
    with pytest.raises(CommandError, match=r"Local AWS is not running\. Start it with: make local"):
        target.from_environment()


def test_aws_keeps_the_users_settings() -> None:
    os.environ |= {"TARGET": "aws", "AWS_REGION": "eu-west-1", "AWS_PROFILE": "mine"}
    found = target.from_environment()
    assert found == target.Target(None, "eu-west-1")
    assert found.environment["AWS_PROFILE"] == "mine"
