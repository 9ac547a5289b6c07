"""Refuse requests that AWS refuses."""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json


class RefusalError(ValueError):
    """A request that AWS, or local AWS, refuses."""

    code = "InvalidParameterException"

    @property
    def response(self) -> Any:
        """The response to the request."""
        return error_response_json(self.code, str(self), 400)
