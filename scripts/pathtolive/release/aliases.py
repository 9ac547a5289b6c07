"""The aliases of a function: the version of each stage, and the weights of other versions."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pathtolive import stack
from pathtolive.cli import CommandError
from pathtolive.release.settings import percents

# How the state machine describes an alias whose weights it sets.
SETTER = re.compile(r"Release ([0-9A-Za-z_.-]{1,80}): ")


class MissingAliasError(CommandError):
    """A stage has no alias."""


@dataclass(frozen=True)
class Alias:
    """The version that an alias points to, the weights of other versions, and the description of the alias."""

    version: str
    weights: Mapping[str, float]
    description: str = ""

    @property
    def setter(self) -> str | None:
        """Name of the execution that set the weights, or None if they were set in another way, or there are none."""
        match = SETTER.match(self.description) if self.weights else None
        return match and match[1]


def traffic(weights: Mapping[str, float]) -> str:
    """Return weights as text: ``version 7 has 10 % of the traffic``."""
    return ", ".join(f"version {version} has {percents(weight)} of the traffic" for version, weight in weights.items())


@dataclass(frozen=True)
class Aliases:
    """The aliases of the function of a stack.

    Methods raise botocore's own errors if a request to AWS fails.
    """

    here: stack.Stack

    @functools.cached_property
    def function_name(self) -> str:
        """Name of the function."""
        name: str = self.here.outputs["function_name"]
        return name

    @functools.cached_property
    def _client(self) -> Any:
        return self.here.target.client("lambda")

    def read(self, stage: str) -> Alias:
        """Return the version and the weights of a stage's alias.

        Raises:
            MissingAliasError: it has none.
        """
        try:
            response = self._client.get_alias(FunctionName=self.function_name, Name=stage)
        except self._client.exceptions.ResourceNotFoundException as error:
            raise MissingAliasError(
                f"{stage} has no alias. Create it with: make deploy{self.here.target.make_variables}"
            ) from error
        return Alias(
            response["FunctionVersion"],
            response.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {},
            response.get("Description", ""),
        )

    def move(self, stage: str, version: str) -> None:
        """Point the alias of a stage to a version, without the state machine."""
        self._client.update_alias(
            FunctionName=self.function_name,
            Name=stage,
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )

    def has_version(self, version: str) -> bool:
        """Return whether a version exists."""
        try:
            self._client.get_function_configuration(FunctionName=self.function_name, Qualifier=version)
        except self._client.exceptions.ResourceNotFoundException:
            return False
        return True

    def rollback_command(self, stage: str) -> str:
        """Return the AWS CLI command that removes the weights of a stage's alias."""
        endpoint = f" --endpoint-url {self.here.target.endpoint}" if self.here.target.endpoint else ""
        return (
            f"aws{endpoint} lambda update-alias --function-name {self.function_name} --name {stage} "
            "--routing-config AdditionalVersionWeights={}"
        )
