"""Evaluate every alarm, each minute; those with a period of less than one each ten seconds.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import ministack.app
from ministack.core.responses import request_scope
from ministack.services import cloudwatch

from emulator import clock, hooks
from emulator.cloudwatch import evaluation, metrics, queries, states
from emulator.cloudwatch.evaluation import Datapoint
from emulator.cloudwatch.expressions import Series
from emulator.cloudwatch.protocol import iso
from emulator.cloudwatch.store import DAY, HOUR, MINUTE, floor

TEN_SECONDS = 10
Alarm = dict[str, Any]

_log = logging.getLogger(__name__)


def install() -> None:
    """Evaluate as long as MiniStack serves."""
    hooks.wrap(ministack.app, "_handle_lifespan", ["scope", "receive", "send"], _handle_lifespan)


async def _handle_lifespan(original: Callable[..., Any], scope: Any, receive: Any, send: Any) -> None:
    ticker = asyncio.create_task(_run())
    try:
        await original(scope, receive, send)
    finally:
        ticker.cancel()


async def _run() -> None:
    step = clock.real(TEN_SECONDS)
    done: dict[int, float] = {}
    while True:
        now = time.time()
        ends = {seconds: floor(now, clock.real(seconds)) for seconds in (TEN_SECONDS, MINUTE, HOUR)}
        due = {seconds: end for seconds, end in ends.items() if end != done.get(seconds)}
        for (account, region, _), alarm in list(cloudwatch._alarms._data.items()):
            with request_scope(account, region):
                _evaluate(alarm, due)
        done = ends
        await asyncio.sleep(step - time.time() % step)


def _interval(alarm: Alarm) -> int:
    period = _period(alarm)
    if period < MINUTE:
        return TEN_SECONDS
    return HOUR if period * alarm["EvaluationPeriods"] > DAY else MINUTE


def _period(alarm: Alarm) -> int:
    return int(queries.period(alarm["Metrics"]) if alarm.get("Metrics") else alarm["Period"])


def _evaluate(alarm: Alarm, due: Mapping[int, float]) -> None:
    """Evaluate an alarm if it is due, with the periods that end now or a number of whole periods earlier."""
    try:
        end = due.get(_interval(alarm))
        if end is None:
            return
        rule = evaluation.Rule(
            alarm["ComparisonOperator"],
            alarm["Threshold"],
            alarm["EvaluationPeriods"],
            alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"],
            alarm.get("TreatMissingData") or "missing",
        )
        datapoints = _datapoints(alarm, rule.periods + evaluation.EXTRA_DATAPOINTS, end)
        if _too_few_samples(alarm, datapoints[-rule.periods :]):
            return
        verdict = evaluation.judge(rule, datapoints)
        if verdict is not None and verdict.state != alarm["StateValue"]:
            states.change(alarm, verdict.state, verdict.reason, json.dumps(_reason_data(alarm, rule, verdict)))
    except Exception:  # noqa: BLE001 - one alarm may not keep the others from their evaluation
        _log.exception("evaluation of alarm %s", alarm["AlarmName"])


def _datapoints(alarm: Alarm, count: int, end: float) -> list[Datapoint]:
    length = clock.real(_period(alarm))
    starts = [end - length * number for number in range(count, 0, -1)]
    if alarm.get("Metrics"):
        found = queries.Queries(alarm["Metrics"], lambda query: _series(query, starts, length), starts)
        watched = next(query for query in alarm["Metrics"] if query.get("ReturnData", True))
        series = found.series(watched["Id"])[0]
        return [Datapoint(start, series.values.get(start)) for start in starts]
    windows = metrics.Metric.of(alarm, alarm.get("Unit")).windows(starts, length)
    stat = alarm.get("ExtendedStatistic") or alarm["Statistic"]
    return [
        Datapoint(start, metrics.statistic(points, stat), metrics.statistic(points, "SampleCount"))
        for start, points in windows.items()
    ]


def _series(query: Mapping[str, Any], starts: list[float], length: float) -> Series:
    described = query["MetricStat"]
    metric = metrics.Metric.of(described["Metric"], described.get("Unit"))
    return metrics.series(metric.windows(starts, length), described, query.get("Label", metric.key.name))


def _too_few_samples(alarm: Alarm, datapoints: list[Datapoint]) -> bool:
    """Return whether a percentile has too few samples to mean something, and the alarm ignores such ones.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
    """
    statistic = alarm.get("ExtendedStatistic") or ""
    if alarm.get("EvaluateLowSampleCountPercentile") != "ignore" or not cloudwatch._is_percentile_stat(statistic):
        return False
    share = float(statistic[1:]) / 100
    tail = min(share, 1 - share)
    samples = sum(point.sample_count or 0 for point in datapoints)
    return 0 < samples < (round(10 / tail) if tail else math.inf)


def _reason_data(alarm: Alarm, rule: evaluation.Rule, verdict: evaluation.Verdict) -> dict[str, Any]:
    real = [point for point in reversed(verdict.evaluated) if point.value is not None]
    single = {} if alarm.get("Metrics") else {"statistic": alarm.get("ExtendedStatistic") or alarm["Statistic"]}
    return {
        "version": "1.0",
        "queryDate": iso(time.time()),
        **({"startDate": iso(real[0].moment)} if real else {}),
        **({"unit": alarm["Unit"]} if alarm.get("Unit") else {}),
        **single,
        "period": _period(alarm),
        "recentDatapoints": [point.value for point in real],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {
                "timestamp": iso(point.moment),
                **({} if point.sample_count is None else {"sampleCount": point.sample_count}),
                **({} if point.value is None else {"value": point.value}),
            }
            for point in verdict.evaluated
        ],
    }
