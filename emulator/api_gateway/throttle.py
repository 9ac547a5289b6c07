"""The throttle of a stage: a bucket of tokens, one of which each request takes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Bucket:
    """``burst`` tokens at most, ``rate`` new ones per second."""

    rate: float
    burst: float
    tokens: float
    filled: float

    def take(self, now: float) -> bool:
        """Take a token and return True, or return False if there is none."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Throttle:
    """The buckets of every stage and route that has limits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def admits(self, api_id: str, stage: Mapping[str, Any], route_key: str) -> bool:
        """Return whether a stage accepts one more request to a route. A route's own limits override the stage's."""
        of_route = (stage.get("routeSettings") or {}).get(route_key)
        settings = of_route or stage.get("defaultRouteSettings") or {}
        rate, burst = settings.get("throttlingRateLimit"), settings.get("throttlingBurstLimit")
        if rate is None or burst is None:
            return True
        now = self._clock()
        key = (api_id, stage["stageName"], route_key if of_route else "")
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
            bucket = self._buckets[key] = Bucket(rate, burst, burst, now)
        return bucket.take(now)
