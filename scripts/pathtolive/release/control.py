"""What people ask of the releases of a stage: the parameter that its state machine reads.

The state machine refuses releases while the stage is frozen, and reads requests at each look:
terraform/modules/release/release.asl.yaml.tftpl describes the content.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pathtolive import stack
from pathtolive.cli import CommandError
from pathtolive.release.executions import Execution

SKIP, HOLD, RESUME, ABORT = "skip", "hold", "resume", "abort"
DOES = {
    SKIP: "continues with the next step",
    HOLD: "keeps its weight until it is resumed",
    RESUME: "continues",
}
# The state machine shortens longer ones.
MAX_REASON = 200
MINUTE_FORMAT = "%Y-%m-%dT%H:%MZ"


class MissingParameterError(CommandError):
    """A stage has no parameter."""


@dataclass(frozen=True)
class Freeze:
    """Why and until when only rollbacks can start, such as until ``2026-12-27T08:00Z``. Each text can be empty."""

    until: str
    by: str
    reason: str

    def __str__(self) -> str:
        until, by = f" until {self.until}" if self.until else "", f" by {self.by}" if self.by else ""
        return f"frozen{by}{until}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True)
class Control:
    """The parameter of a stage.

    Methods raise botocore's own errors if a request to AWS fails.
    """

    here: stack.Stack
    stage: str

    @functools.cached_property
    def _client(self) -> Any:
        return self.here.target.client("ssm")

    @functools.cached_property
    def _name(self) -> str:
        name: str | None = self.here.outputs["stages"].get(self.stage, {}).get("control_parameter")
        if name is None:
            raise self._missing()
        return name

    def _missing(self) -> MissingParameterError:
        return MissingParameterError(
            f"The parameter that controls the releases of {self.stage} does not exist. Create it with: "
            f"make deploy{self.here.target.make_variables}"
        )

    def frozen(self) -> Freeze | None:
        """Return the freeze of the stage, or None if it is not frozen, or no longer."""
        found = self._content().get("frozen")
        if found is None or found is False:
            return None
        given: Mapping[str, Any] = found if isinstance(found, dict) else {}
        freeze = Freeze(*(str(given.get(key) or "") for key in ("until", "by", "reason")))
        with contextlib.suppress(ValueError):
            # The state machine accepts seconds, and ignores them.
            until = datetime.strptime(f"{freeze.until[:16]}Z", MINUTE_FORMAT).replace(tzinfo=UTC)
            if freeze.until.endswith("Z") and until <= datetime.now(UTC):
                return None
        return freeze

    def frozen_error(self, freeze: Freeze) -> str:
        """Return a sentence about a freeze, with the command that ends it."""
        return (
            f"{self.stage} is {freeze}. To end the freeze, run: "
            f"make unfreeze STAGE={self.stage}{self.here.target.make_variables}"
        )

    def freeze(self, until: datetime, reason: str) -> Freeze:
        """Refuse releases and promotions of the stage until a time, and return the freeze.

        Raises:
            MissingParameterError: the parameter does not exist.
        """
        freeze = Freeze(until.astimezone(UTC).strftime(MINUTE_FORMAT), person(), reason)
        self._write("frozen", dataclasses.asdict(freeze))
        return freeze

    def unfreeze(self) -> None:
        """Allow releases and promotions again.

        Raises:
            MissingParameterError: the parameter does not exist.
        """
        self._write("frozen", None)

    def ask(self, release: Execution, what: str, reason: str) -> None:
        """Ask a release to skip the rest of its step, to hold, or to resume.

        Raises:
            MissingParameterError: the parameter does not exist.
        """
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        self._write("request", {"do": what, "release": release.name, "by": person(), "reason": reason, "at": at})

    def held(self, release: Execution) -> bool:
        """Return whether people have asked a release to hold, and not yet to continue."""
        asked = self._content().get("request")
        return isinstance(asked, dict) and (asked.get("release"), asked.get("do")) == (release.name, HOLD)

    def rejected(self) -> set[str]:
        """Return the versions that were rolled back from the stage, which the state machine refuses."""
        name = f"{self._name.rpartition('/')[0]}/rejected"
        try:
            found = json.loads(self._client.get_parameter(Name=name)["Parameter"]["Value"])
        except (self._client.exceptions.ParameterNotFound, ValueError):
            return set()
        return (
            {str(each.get("version")) for each in found if isinstance(each, dict)} if isinstance(found, list) else set()
        )

    def _content(self) -> dict[str, Any]:
        """Return the content of the parameter; that of a stage without one is empty."""
        with contextlib.suppress(MissingParameterError):
            return self._read(self._name)[0]
        return {}

    def _read(self, name: str) -> tuple[dict[str, Any], int]:
        """Return the content and the version of the parameter; what is no JSON object is empty."""
        try:
            found = self._client.get_parameter(Name=name)["Parameter"]
        except self._client.exceptions.ParameterNotFound as error:
            raise self._missing() from error
        try:
            content = json.loads(found["Value"])
        except ValueError:
            content = {}
        return content if isinstance(content, dict) else {}, found["Version"]

    def _write(self, key: str, value: Mapping[str, Any] | None) -> None:
        """Change one key of the parameter, and keep what others change at the same time.

        Parameter Store has no conditional writes. If another version was written in between, this change is repeated
        on top of it: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html
        """
        content, version = self._read(self._name)
        while True:
            kept = {name: each for name, each in content.items() if name != key}
            changed = kept if value is None else {**kept, key: dict(value)}
            written = self._client.put_parameter(Name=self._name, Value=json.dumps(changed), Overwrite=True)["Version"]
            if written == version + 1:
                return
            content, version = self._read(f"{self._name}:{written - 1}")[0], written


def reason(text: str) -> str:
    """Return a reason.

    Raises:
        ValueError: it is too long.
    """
    if len(text) > MAX_REASON:
        raise ValueError(f"the reason has {len(text)} characters, and can have {MAX_REASON}")
    return text


def person() -> str:
    """Return who runs this command, such as ``ann@laptop``; in GitHub Actions, the person who started the workflow.

    https://docs.github.com/en/actions/reference/workflows-and-actions/variables
    """
    if actor := os.environ.get("GITHUB_ACTOR"):
        return f"{actor}@github"
    user = "unknown"
    with contextlib.suppress(KeyError, OSError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"
