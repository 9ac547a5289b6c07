"""Parameters of Parameter Store, as the commands that steer releases use them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Client = Callable[[str], Any]
pytestmark = pytest.mark.endpoint


@pytest.fixture
def parameter(client: Client) -> Iterator[str]:
    """Yield the name of a parameter that the test creates, and delete it."""
    name = f"/contract/{uuid.uuid4().hex}"
    yield name
    client("ssm").delete_parameters(Names=[name])


def test_each_write_returns_the_next_version_and_earlier_ones_can_be_read(client: Client, parameter: str) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html."""
    parameters = client("ssm")
    assert parameters.put_parameter(Name=parameter, Value="first", Type="String")["Version"] == 1
    assert parameters.put_parameter(Name=parameter, Value="second", Overwrite=True)["Version"] == 2
    newest = parameters.get_parameter(Name=parameter)["Parameter"]
    assert (newest["Value"], newest["Version"], newest["Type"]) == ("second", 2, "String")
    assert parameters.get_parameter(Name=f"{parameter}:1")["Parameter"]["Value"] == "first"


def test_parameter_that_does_not_exist(client: Client, parameter: str) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html#API_GetParameter_Errors."""
    parameters = client("ssm")
    with pytest.raises(parameters.exceptions.ParameterNotFound):
        parameters.get_parameter(Name=parameter)
