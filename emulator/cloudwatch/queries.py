"""Metric data queries: metrics and expressions over them, by ids.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emulator import clock
from emulator.cloudwatch import expressions, metrics
from emulator.cloudwatch.expressions import Series
from emulator.cloudwatch.protocol import RefusalError
from emulator.cloudwatch.store import MINUTE

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
MAX_EXPRESSION = 2_048
Query = Mapping[str, Any]
Look = Callable[[Query], Series]


class Queries:
    """The queries of one request. ``look`` returns the data of a query that names a metric."""

    def __init__(self, queries: Sequence[Query], look: Look, moments: Sequence[float]) -> None:
        self._queries = {query["Id"]: query for query in queries}
        self._look, self._moments = look, moments
        self._found: dict[str, list[Series]] = {}
        self._under_way: set[str] = set()

    def series(self, query_id: str) -> list[Series]:
        """Return the series of a query: one, or the array of an expression.

        Raises:
            ExpressionError: an expression cannot be evaluated.
        """
        query = self._queries.get(query_id)
        if query is None or query_id in self._under_way:
            raise expressions.ExpressionError(f"{query_id} is not the id of another query")
        if query_id not in self._found:
            self._under_way.add(query_id)
            if "Expression" in query:
                found = expressions.evaluate(query["Expression"], self._value, self._metrics, self._moments)
            else:
                found = [self._look(query)]
            self._found[query_id] = found
            self._under_way.remove(query_id)
        return self._found[query_id]

    def _value(self, query_id: str) -> expressions.Value:
        found = self.series(query_id)
        return found[0] if len(found) == 1 else found

    def _metrics(self, text: str) -> list[Series]:
        named = [name for name, query in self._queries.items() if "Expression" not in query and text in name]
        return [self.series(name)[0] for name in named]


def check(queries: Sequence[Query]) -> None:
    """Refuse queries that fail with any data, by evaluating them without data."""
    if len({query["Id"] for query in queries}) < len(queries):
        raise RefusalError("ValidationError", "The values for parameter id in MetricDataQueries must be unique.")
    trial = Queries(queries, lambda query: Series({}, query["MetricStat"]["Period"]), ())
    for query in queries:
        if "Expression" not in query:
            metrics.check(query["MetricStat"]["Stat"])
        elif len(query["Expression"]) > MAX_EXPRESSION:
            raise RefusalError(
                "ValidationError",
                f"1 validation error detected: Value '{query['Expression']}' at 'expression' failed to satisfy "
                f"constraint: Member must have length less than or equal to {MAX_EXPRESSION}",
            )
        try:
            trial.series(query["Id"])
        except expressions.ExpressionError as error:
            raise RefusalError("ValidationError", f"Error in expression '{query['Id']}': {error}") from error


def period(queries: Sequence[Query]) -> float:
    """Return the longest period of some queries, in AWS's seconds."""
    found = [query.get("MetricStat", query).get("Period") for query in queries]
    return max((each for each in found if each), default=MINUTE)


def get_metric_data(request: Mapping[str, Any]) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html."""
    asked = request["MetricDataQueries"]
    check(asked)
    start, end = request["StartTime"], request["EndTime"]

    def look(query: Query) -> Series:
        described = query["MetricStat"]
        metric = metrics.Metric.of(described["Metric"], described.get("Unit"))
        return metrics.series(
            metric.periods(described["Period"], start, end), described, query.get("Label", metric.key.name)
        )

    length = clock.real(period(asked))
    # Only expressions need the periods without data, and a long interval has very many.
    numbers = (
        range(math.floor(start / length), math.ceil(end / length))
        if any("Expression" in query for query in asked)
        else ()
    )
    queries = Queries(asked, look, [number * length for number in numbers])
    newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    results = []
    for query in asked:
        if query.get("ReturnData", True):
            found = queries.series(query["Id"])
            results += [_result(query, series, single=len(found) == 1, newest_first=newest_first) for series in found]
    return {"MetricDataResults": results, "Messages": []}


def _result(query: Query, series: Series, *, single: bool, newest_first: bool) -> dict[str, Any]:
    label = query.get("Label", query["Id"]) if "Expression" in query else series.label
    moments = sorted(series.values, reverse=newest_first)
    return {
        "Id": query["Id"],
        "Label": label if single else f"{label} {series.label}",
        "Timestamps": moments,
        "Values": [series.values[moment] for moment in moments],
        "StatusCode": "Complete",
    }
