"""Tags that are set or removed later: APIs and stages return them, as the tags that they were created with.

https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ministack.services import apigateway

from emulator import hooks


def install() -> None:
    """Put this in front of MiniStack's own tags, which only GetTags returns."""
    hooks.wrap(apigateway, "_tag_resource", ["resource_arn", "data"], _change)
    hooks.wrap(apigateway, "_untag_resource", ["resource_arn", "tag_keys"], _change)


def _change(original: Callable[..., Any], resource_arn: str, change: Any) -> Any:
    answer = original(resource_arn, change)
    arn, _ = apigateway._validate_tag_resource_arn(resource_arn)
    if answer[0] < 400 and arn in apigateway._api_tags:
        # arn:aws:apigateway:REGION::/apis/ID, or /apis/ID/stages/NAME. MiniStack's domain names return their tags.
        _, _, api_id, *stage = arn.rpartition(":")[2].split("/")
        record = apigateway._stages[api_id][stage[1]] if stage else apigateway._apis[api_id]
        record["tags"] = dict(apigateway._api_tags[arn])
    return answer
