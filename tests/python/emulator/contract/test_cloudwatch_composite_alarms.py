"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html."""

from __future__ import annotations

import json

import pytest

from tests.python.emulator.contract.alarms import Alarms


@pytest.fixture
def children(alarms: Alarms) -> tuple[str, str]:
    """Return two alarms in the state OK, which keep a state that a test sets."""
    names = alarms.put(TreatMissingData="ignore"), alarms.put(TreatMissingData="ignore")
    for name in names:
        alarms.set(name, "OK")
    return names


def test_cloudwatch_composite_alarm_is_evaluated_when_it_is_created(alarms: Alarms, children: tuple[str, str]) -> None:
    name = alarms.put_composite(f"ALARM({children[0]}) OR ALARM({children[1]})")
    alarm = alarms.reaches(name, "OK")
    assert alarm["StateReason"] == f"{alarm['AlarmArn']} was created and its alarm rule evaluates to OK"


def test_cloudwatch_composite_alarm_follows_its_children(alarms: Alarms, children: tuple[str, str]) -> None:
    name = alarms.put_composite(f"ALARM({children[0]}) AND NOT ALARM({children[1]})")
    alarms.reaches(name, "OK")
    alarms.set(children[0], "ALARM")
    alarms.reaches(name, "ALARM")
    alarms.set(children[1], "ALARM")
    alarms.changes(name, "OK", "ALARM", "OK")


def test_cloudwatch_composite_alarm_follows_the_evaluation_of_its_children(alarms: Alarms) -> None:
    child = alarms.put()
    name = alarms.put_composite(f"ALARM({child})")
    alarms.reaches(name, "OK")
    alarms.data(9)
    alarms.changes(name, "OK", "ALARM", "OK")


def test_cloudwatch_composite_alarm_names_the_child_that_caused_it(alarms: Alarms, children: tuple[str, str]) -> None:
    name = alarms.put_composite(f"ALARM({children[0]}) OR ALARM({children[1]})")
    alarms.set(children[1], "ALARM")
    alarm, cause = alarms.reaches(name, "ALARM"), alarms.arn(children[1])
    assert alarm["StateReason"].startswith(f"{cause} transitioned to ALARM at ")
    (triggering,) = json.loads(alarm["StateReasonData"])["triggeringAlarms"]
    assert (triggering["arn"], triggering["state"]["value"]) == (cause, "ALARM")


def test_cloudwatch_composite_alarm_may_refer_to_another(alarms: Alarms, children: tuple[str, str]) -> None:
    lower = alarms.put_composite(f"ALARM({children[0]})")
    alarms.reaches(lower, "OK")
    upper = alarms.put_composite(f'NOT OK("{lower}")')
    alarms.reaches(upper, "OK")
    alarms.set(children[0], "ALARM")
    alarm = alarms.reaches(upper, "ALARM")
    assert alarm["StateReason"].startswith(f"{alarms.arn(lower)} transitioned to ALARM at ")


def test_cloudwatch_composite_alarm_is_described_only_on_request(alarms: Alarms, children: tuple[str, str]) -> None:
    name = alarms.put_composite(f"ALARM({children[0]})")
    prefix = name.rpartition("-")[0]
    found = alarms.api.describe_alarms(AlarmNamePrefix=prefix)
    assert {alarm["AlarmName"] for alarm in found["MetricAlarms"]} == set(children)
    assert found["CompositeAlarms"] == []
    found = alarms.api.describe_alarms(AlarmNamePrefix=prefix, AlarmTypes=["CompositeAlarm"])
    assert [alarm["AlarmName"] for alarm in found["CompositeAlarms"]] == [name]
    assert found["MetricAlarms"] == []


def test_cloudwatch_composite_alarm_keeps_its_children(alarms: Alarms, children: tuple[str, str]) -> None:
    alarms.put_composite(f"ALARM({children[0]})")
    with pytest.raises(alarms.api.exceptions.ClientError, match="composite alarm"):
        alarms.api.delete_alarms(AlarmNames=[children[0]])
