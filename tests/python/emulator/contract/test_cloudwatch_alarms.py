"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html."""

from __future__ import annotations

import datetime
import json
import re
import time
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import BOUND, PATIENCE, Alarms, bound
from tests.waiting import eventually


def statistic(alarms: Alarms, name: str, metric: str, stat: str = "Sum") -> dict[str, Any]:
    return {
        "Id": name,
        "MetricStat": {"Metric": {"Namespace": alarms.namespace, "MetricName": metric}, "Period": 60, "Stat": stat},
        "ReturnData": False,
    }


def rate(alarms: Alarms, expression: str = "IF(calls >= 10, 100 * errors / calls, 0)") -> list[dict[str, Any]]:
    expressed = {"Id": "rate", "Expression": expression, "ReturnData": True}
    return [expressed, statistic(alarms, "errors", "errors"), statistic(alarms, "calls", "calls")]


def test_cloudwatch_alarm_without_data_has_insufficient_data(alarms: Alarms) -> None:
    alarm = alarms.describe(alarms.put(TreatMissingData="missing"))
    assert (alarm["StateValue"], alarm["StateReason"]) == (
        "INSUFFICIENT_DATA",
        "Unchecked: Initial alarm creation",
    )


def test_cloudwatch_alarm_fires_and_recovers(alarms: Alarms) -> None:
    name = alarms.put()
    alarms.reaches(name, "OK")
    alarms.data(9)
    alarms.changes(name, "OK", "ALARM", "OK")


def test_cloudwatch_alarm_is_not_evaluated_when_data_arrives(alarms: Alarms) -> None:
    name = alarms.put(EvaluationPeriods=2)
    alarms.reaches(name, "OK")
    alarms.data(9)
    alarms.wait_for_minute()
    alarms.data(1)
    alarms.wait_for_minute()
    time.sleep(alarms.minute)
    assert alarms.states(name) == ["OK"]


def test_cloudwatch_alarm_has_the_reason_for_its_state(alarms: Alarms) -> None:
    name = alarms.put(TreatMissingData="ignore")
    alarms.data(9)
    alarm = alarms.reaches(name, "ALARM")
    assert re.fullmatch(
        r"Threshold Crossed: 1 out of the last 1 datapoints \[9\.0 \(\d\d/\d\d/\d\d \d\d:\d\d:\d\d\)\] "
        r"was greater than the threshold \(5\.0\) \(minimum 1 datapoint for OK -> ALARM transition\)\.",
        alarm["StateReason"],
    )
    data = json.loads(alarm["StateReasonData"])
    assert (data["recentDatapoints"], data["threshold"], data["period"], data["statistic"]) == ([9], 5, 60, "Sum")
    assert alarm["StateTransitionedTimestamp"] == alarm["StateUpdatedTimestamp"]


def test_cloudwatch_alarm_evaluates_only_its_exact_dimensions(alarms: Alarms) -> None:
    dimensions = [{"Name": "Function", "Value": "mine"}]
    mine = alarms.put(Dimensions=dimensions, TreatMissingData="ignore")
    whole = alarms.put(TreatMissingData="ignore")
    alarms.data(9, dimensions={"Function": "other"})
    alarms.data(9, dimensions={"Function": "mine", "Version": "1"})
    alarms.data(8)
    alarms.data(7, dimensions={"Function": "mine"})
    found = [json.loads(alarms.reaches(name, "ALARM")["StateReasonData"]) for name in (mine, whole)]
    assert [data["recentDatapoints"] for data in found] == [[7], [8]]


STATISTICS: list[tuple[dict[str, Any], str]] = [
    ({"Statistic": "Average"}, "OK"),
    ({"Statistic": "Maximum"}, "ALARM"),
    ({"Statistic": "Minimum"}, "OK"),
    ({"Statistic": "SampleCount", "Threshold": 100}, "OK"),
    ({"Statistic": "Sum", "Threshold": 1000}, "ALARM"),
    ({"ExtendedStatistic": "p50"}, "OK"),
    ({"ExtendedStatistic": "p99"}, "ALARM"),
    ({"ExtendedStatistic": "TC(500:)", "Threshold": 4}, "ALARM"),
    ({"ExtendedStatistic": "TC(1000:)", "Threshold": 0}, "OK"),
    ({"ExtendedStatistic": "PR(:500)"}, "ALARM"),
    ({"ExtendedStatistic": "TM(:500)"}, "OK"),
]


def test_cloudwatch_alarm_evaluates_its_statistic(alarms: Alarms) -> None:
    given: dict[str, Any] = {"Threshold": 60, "TreatMissingData": "ignore"}
    names = [alarms.put(**(given | settings)) for settings, _ in STATISTICS]
    alarms.api.put_metric_data(
        Namespace=alarms.namespace,
        MetricData=[{"MetricName": "m", "Values": [1.0, 1000.0], "Counts": [95.0, 5.0]}],
    )
    for name, (_, state) in zip(names, STATISTICS, strict=True):
        alarms.reaches(name, state)
        assert alarms.states(name) == [state]


@pytest.mark.parametrize("statistic", ["AB(1:2)", "cd42", "TC", "TC(:)", "TC(5%:10)", "PR(5%:10%)", "IQM(1:2)"])
def test_cloudwatch_alarm_on_an_unknown_statistic_is_refused(alarms: Alarms, statistic: str) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html."""
    with pytest.raises(alarms.api.exceptions.ClientError, match="ValidationError"):
        alarms.put(ExtendedStatistic=statistic)


def test_cloudwatch_alarm_evaluates_only_its_unit(alarms: Alarms) -> None:
    values = {"Milliseconds": 900, "Seconds": 1}
    names = {unit: alarms.put(Unit=unit, TreatMissingData="ignore") for unit in values}
    alarms.api.put_metric_data(
        Namespace=alarms.namespace,
        MetricData=[{"MetricName": "m", "Value": value, "Unit": unit} for unit, value in values.items()],
    )
    alarms.reaches(names["Milliseconds"], "ALARM")
    alarms.reaches(names["Seconds"], "OK")


def test_cloudwatch_alarm_sums_over_its_whole_period(alarms: Alarms) -> None:
    short, long = (alarms.put(Period=seconds, TreatMissingData="ignore") for seconds in (60, 180))
    alarms.data(3, 3, 3)
    eventually(lambda: "ALARM" in alarms.states(long), seconds=PATIENCE)
    alarms.reaches(short, "OK")
    assert alarms.states(short) == ["OK"]


def test_cloudwatch_alarm_on_a_percentile_may_ignore_few_samples(alarms: Alarms) -> None:
    settings = {"ExtendedStatistic": "p99", "TreatMissingData": "ignore"}
    few = alarms.put(**settings, EvaluateLowSampleCountPercentile="ignore")
    many = alarms.put("many", **settings, EvaluateLowSampleCountPercentile="ignore")
    anyway = alarms.put(**settings, EvaluateLowSampleCountPercentile="evaluate")
    # Only percentiles can have too few samples.
    trimmed = alarms.put(**settings | {"ExtendedStatistic": "tm99"}, EvaluateLowSampleCountPercentile="ignore")
    for metric, count in (("m", 999), ("many", 1000)):
        alarms.api.put_metric_data(
            Namespace=alarms.namespace, MetricData=[{"MetricName": metric, "Values": [9.0], "Counts": [count]}]
        )
    alarms.reaches(anyway, "ALARM")
    alarms.reaches(trimmed, "ALARM")
    alarms.reaches(many, "ALARM")
    assert alarms.describe(few)["StateValue"] == "INSUFFICIENT_DATA"


def test_cloudwatch_alarm_of_high_resolution_evaluates_ten_seconds(alarms: Alarms) -> None:
    name = alarms.put(Period=10, TreatMissingData="ignore")
    soon, ten_seconds = datetime.datetime.now(datetime.UTC), datetime.timedelta(seconds=alarms.minute / 6)
    # The sum of a minute breaches, the sum of ten seconds does not. The data lasts until the evaluation: two minutes.
    alarms.api.put_metric_data(
        Namespace=alarms.namespace,
        MetricData=[
            {"MetricName": "m", "Value": 3, "StorageResolution": 1, "Timestamp": soon + number * ten_seconds}
            for number in range(3, 15)
        ],
    )
    alarm = alarms.reaches(name, "OK")
    data = json.loads(alarm["StateReasonData"])
    assert (data["period"], data["recentDatapoints"]) == (10, [3])
    time.sleep(alarms.minute)
    assert alarms.states(name) == ["OK"]


def test_cloudwatch_alarm_on_an_expression_evaluates_it(alarms: Alarms) -> None:
    name = alarms.put(None, Metrics=rate(alarms), TreatMissingData="ignore")
    alarms.data_of({"errors": [3], "calls": [20]})
    alarm = alarms.reaches(name, "ALARM")
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"] == [15]


def test_cloudwatch_alarm_on_an_expression_may_require_a_minimum(alarms: Alarms) -> None:
    guarded = alarms.put(None, Metrics=rate(alarms), TreatMissingData="ignore")
    bare = alarms.put(None, Metrics=rate(alarms, "100 * errors / calls"), TreatMissingData="ignore")
    alarms.data_of({"errors": [3], "calls": [4]})
    alarms.reaches(bare, "ALARM")
    alarms.reaches(guarded, "OK")
    assert alarms.states(guarded) == ["OK"]


# The rate is the same, but that of fewer calls can be by chance.
@pytest.mark.parametrize(("errors", "calls", "state"), [(15, 100, "ALARM"), (3, 20, "OK")])
def test_cloudwatch_alarm_evaluates_the_lower_bound_of_a_rate(
    alarms: Alarms, errors: float, calls: float, state: str
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html."""
    queries = rate(alarms, f"IF(errors >= 2 AND calls >= 3, {BOUND}, 0)")
    name = alarms.put(
        None, Metrics=queries, Threshold=0.05, DatapointsToAlarm=2, EvaluationPeriods=3, TreatMissingData="ignore"
    )
    alarms.data_of({"errors": [errors] * 3, "calls": [calls] * 3})
    points = json.loads(alarms.reaches(name, state)["StateReasonData"])["recentDatapoints"]
    assert points == pytest.approx([bound(errors, calls)] * len(points))


def test_cloudwatch_alarm_fires_if_every_call_fails(alarms: Alarms) -> None:
    queries = rate(alarms, "IF(calls >= 3 AND errors >= calls, 1, 0)")
    for query in queries[1:]:
        query["MetricStat"]["Period"] = 300
    name = alarms.put(None, Metrics=queries, Threshold=0, TreatMissingData="ignore")
    alarms.data_of({"errors": [1, 1, 1], "calls": [1, 1, 1]})
    eventually(lambda: "ALARM" in alarms.states(name), seconds=PATIENCE)


@pytest.mark.parametrize("expression", ["errors +", "errors / unknown", "SUM(errors)", "NOSUCH(errors)", "rate + 1"])
def test_cloudwatch_alarm_on_an_invalid_expression_is_refused(alarms: Alarms, expression: str) -> None:
    with pytest.raises(alarms.api.exceptions.ClientError, match=r"ValidationError.*rate"):
        alarms.put(None, Metrics=rate(alarms, expression))


def test_cloudwatch_alarm_evaluates_only_one_series(alarms: Alarms) -> None:
    both = [query | {"ReturnData": True} for query in rate(alarms)]
    with pytest.raises(alarms.api.exceptions.ClientError, match="Exactly one element"):
        alarms.put(None, Metrics=both)


def test_cloudwatch_alarm_on_an_expression_is_limited(alarms: Alarms) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html."""
    queries = [statistic(alarms, f"m{number}", f"m{number}") for number in range(11)]
    expressed = {"Id": "rate", "Expression": "m0 + m1", "ReturnData": True}
    alarms.put(None, Metrics=[expressed, *queries[:10]])
    with pytest.raises(alarms.api.exceptions.ClientError, match="ValidationError"):
        alarms.put(None, Metrics=[expressed, *queries])
    long = "m0" + " + m1" * 410
    with pytest.raises(alarms.api.exceptions.ClientError, match="ValidationError"):
        alarms.put(None, Metrics=[expressed | {"Expression": long}, *queries[:2]])


def test_cloudwatch_alarm_keeps_its_state_when_it_is_updated(alarms: Alarms) -> None:
    name = alarms.put(TreatMissingData="ignore")
    alarms.set(name, "ALARM")
    alarms.put(AlarmName=name, TreatMissingData="ignore", Threshold=7)
    alarm = alarms.describe(name)
    assert (alarm["StateValue"], alarm["Threshold"]) == ("ALARM", 7)


def test_cloudwatch_alarm_keeps_a_set_state_until_the_next_evaluation(alarms: Alarms) -> None:
    name = alarms.put()
    alarms.reaches(name, "OK")
    alarms.set(name, "ALARM")
    alarms.changes(name, "OK", "ALARM", "OK")


def test_cloudwatch_alarm_keeps_a_set_state_without_data(alarms: Alarms) -> None:
    kept = alarms.put(TreatMissingData="ignore")
    alarms.set(kept, "ALARM")
    # This alarm is newer, so its evaluation follows that of the other alarm.
    alarms.reaches(alarms.put(), "OK")
    alarm = alarms.describe(kept)
    assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "said so")


def test_cloudwatch_alarm_state_cannot_be_set_without_an_alarm(alarms: Alarms) -> None:
    with pytest.raises(alarms.api.exceptions.ResourceNotFound):
        alarms.set("no-such-alarm", "OK")


def test_cloudwatch_alarm_history_has_every_change(alarms: Alarms) -> None:
    name = alarms.put(TreatMissingData="ignore")
    alarms.set(name, "ALARM")
    alarms.changes(name, "ALARM")
    assert [item["HistorySummary"] for item in alarms.history(name)] == [
        "Alarm updated from INSUFFICIENT_DATA to ALARM"
    ]
    assert [item["HistorySummary"] for item in alarms.history(name, "ConfigurationUpdate")] == [
        f'Alarm "{name}" created'
    ]
