"""Check the body of a CloudWatch dashboard against AWS's description of its structure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = 24
# The fields of each object, by their types. Those in REQUIRED must not be missing.
WIDGET = {"type": str, "x": int, "y": int, "width": int, "height": int, "properties": dict}
PROPERTIES: dict[str, dict[str, type]] = {
    "alarm": {"alarms": list, "sortBy": str, "states": list, "title": str},
    "log": {"accountId": str, "region": str, "title": str, "query": str, "view": str},
    "metric": {
        "accountId": str,
        "annotations": dict,
        "legend": dict,
        "liveData": bool,
        "metrics": list,
        "period": int,
        "region": str,
        "sparkline": bool,
        "stacked": bool,
        "stat": str,
        "table": dict,
        "timezone": str,
        "title": str,
        "view": str,
        "yAxis": dict,
    },
    "text": {"background": str, "markdown": str},
}
REQUIRED = {"alarm": {"alarms"}, "log": {"region", "query"}, "metric": {"metrics", "region"}, "text": {"markdown"}}
VIEWS = {
    "log": {"bar", "pie", "table", "timeSeries"},
    "metric": {"bar", "gauge", "pie", "singleValue", "table", "timeSeries"},
}
RENDERING = {"color": str, "label": str, "period": int, "stat": str, "visible": bool, "yAxis": str, "id": str}
EXPRESSION = {**RENDERING, "expression": str}
AXIS = {"label": str, "min": (int, float), "max": (int, float), "showUnits": bool}
ANNOTATION = {"value": (int, float), "label": str, "color": str, "fill": str, "visible": bool, "yAxis": str}
STATISTIC = re.compile(r"SampleCount|Average|Sum|Minimum|Maximum|p\d{1,2}(\.\d+)?")
COLOR = re.compile(r"#[0-9a-f]{6}")
ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
SEARCH = re.compile(r"""SEARCH\('\{[^{}']+\}( \w+="[^"']+")+', '([^']+)', (\d+)\)""")


def check(widgets: Sequence[Mapping[str, Any]]) -> None:
    """Fail if AWS does not describe a dashboard with these widgets, or if they overlap."""
    assert len(widgets) <= 500
    taken: set[tuple[int, int]] = set()
    for widget in widgets:
        _check_fields(widget, WIDGET, WIDGET.keys())
        kind, properties = widget["type"], widget["properties"]
        _check_fields(properties, PROPERTIES[kind], REQUIRED[kind])
        assert widget["x"] >= 0
        assert widget["x"] + widget["width"] <= COLUMNS
        cells = {
            (widget["x"] + column, widget["y"] + row)
            for column in range(widget["width"])
            for row in range(widget["height"])
        }
        assert cells
        assert not cells & taken, properties.get("title")
        taken |= cells
        assert properties.get("view", "table") in VIEWS.get(kind, {"table"})
        CHECKS[kind](properties)


def _check_fields(given: Mapping[str, Any], fields: Mapping[str, Any], required: Any = ()) -> None:
    assert set(required) <= given.keys() <= fields.keys(), given
    for name, value in given.items():
        assert isinstance(value, fields[name]), (name, value)


def _check_text(properties: Mapping[str, Any]) -> None:
    assert properties["markdown"].strip()


def _check_alarm(properties: Mapping[str, Any]) -> None:
    assert 1 <= len(properties["alarms"]) <= 100
    assert all(re.fullmatch(r"arn:[^:]+:cloudwatch:[^:]+:\d{12}:alarm:.+", arn) for arn in properties["alarms"])
    assert properties.get("sortBy", "default") in {"default", "stateUpdatedTimestamp", "timestamp"}


def _check_log(properties: Mapping[str, Any]) -> None:
    assert re.match(r"(SOURCE '[^']+' \| )+(?!SOURCE)\w+ ", properties["query"])


def _check_metric(properties: Mapping[str, Any]) -> None:
    assert 1 <= len(properties["metrics"]) <= 500
    assert properties.get("period", 300) % 60 == 0
    assert STATISTIC.fullmatch(properties.get("stat", "Sum"))
    for side, axis in properties.get("yAxis", {}).items():
        assert side in {"left", "right"}
        _check_fields(axis, AXIS)
    ids = [metric[-1]["id"] for metric in properties["metrics"] if "id" in (metric[-1:] or [{}])[0]]
    assert all(ID.fullmatch(name) for name in ids)
    assert len(set(ids)) == len(ids)
    for metric in properties["metrics"]:
        _check_one_metric(metric, set(ids))
    annotations = properties.get("annotations", {})
    assert annotations.keys() <= {"horizontal"}
    for annotation in annotations.get("horizontal", []):
        _check_fields(annotation, ANNOTATION, {"value"})
        assert COLOR.fullmatch(annotation["color"])


def _check_one_metric(metric: Sequence[Any], ids: set[str]) -> None:
    *names, rendering = metric
    if names:
        assert len(names) % 2 == 0, "a namespace, a name, and pairs of a dimension and its value"
        assert all(isinstance(name, str) for name in names)
        _check_fields(rendering, RENDERING)
        return
    _check_fields(rendering, EXPRESSION, {"expression"})
    expression = rendering["expression"]
    if search := SEARCH.fullmatch(expression):
        assert STATISTIC.fullmatch(search[2])
    else:
        used = set(re.findall(r"\b[a-z]\w*", expression))
        assert used
        assert used <= ids


CHECKS = {"alarm": _check_alarm, "log": _check_log, "metric": _check_metric, "text": _check_text}
