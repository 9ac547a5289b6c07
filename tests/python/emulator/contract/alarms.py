"""Metrics and alarms of one test, for tests that would pass on AWS as well."""

from __future__ import annotations

import datetime
import json
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.python.emulator.contract.support import Client
from tests.waiting import eventually

# AWS evaluates alarms each minute, and reads new data with a delay.
PATIENCE = 300
# Wilson's lower bound of a rate: https://www.itl.nist.gov/div898/handbook/prc/section2/prc241.htm
BOUND = (
    "(errors / calls + 2.33 * 2.33 / (2 * calls)"
    " - 2.33 * ((errors / calls) * (1 - errors / calls) / calls + 2.33 * 2.33 / (4 * calls * calls)) ^ 0.5)"
    " / (1 + 2.33 * 2.33 / calls)"
)


def bound(errors: float, calls: float) -> float:
    """Return the value of ``BOUND``."""
    rate, squared = errors / calls, 2.33**2
    root = math.sqrt(rate * (1 - rate) / calls + squared / (4 * calls**2))
    return (rate + squared / (2 * calls) - 2.33 * root) / (1 + squared / calls)


@dataclass
class Alarms:
    """Alarms on metrics of a separate namespace. ``minute`` is the number of seconds that a minute of AWS takes."""

    client: Client
    minute: float
    namespace: str = field(default_factory=lambda: f"Contract/{uuid.uuid4().hex[:8]}")
    made: list[str] = field(default_factory=list)
    composite: list[str] = field(default_factory=list)

    @property
    def api(self) -> Any:
        return self.client("cloudwatch")

    def put(self, metric: str | None = "m", **settings: Any) -> str:
        """Create an alarm that fires if the sum of a minute is over 5, unless the settings differ."""
        name = settings.pop("AlarmName", f"{self.namespace.replace('/', '-')}-{uuid.uuid4().hex[:4]}")
        given: dict[str, Any] = {
            "EvaluationPeriods": 1,
            "Threshold": 5,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }
        if metric is not None:
            given |= {"Namespace": self.namespace, "MetricName": metric, "Period": 60}
            if "ExtendedStatistic" not in settings:
                given["Statistic"] = "Sum"
        self.made.append(name)
        self.api.put_metric_alarm(AlarmName=name, **(given | settings))
        return str(name)

    def put_composite(self, rule: str, **settings: Any) -> str:
        name = f"{self.namespace.replace('/', '-')}-{uuid.uuid4().hex[:4]}"
        self.composite.append(name)
        self.api.put_composite_alarm(AlarmName=name, AlarmRule=rule, **settings)
        return name

    def data(
        self, *values: float | None, metric: str = "m", dimensions: Mapping[str, str] | None = None
    ) -> datetime.datetime:
        """Put one value for each of the last minutes, the newest last. None is a minute without data.

        Return the start of the newest minute.
        """
        return self.data_of({metric: values}, dimensions)

    def data_of(
        self, values: Mapping[str, Sequence[float | None]], dimensions: Mapping[str, str] | None = None
    ) -> datetime.datetime:
        """Put the values of several metrics in one request, so that they belong to the same minutes."""
        now = time.time()
        begun = datetime.datetime.fromtimestamp(now - now % self.minute, datetime.UTC)
        self.api.put_metric_data(
            Namespace=self.namespace,
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in (dimensions or {}).items()],
                    "Timestamp": begun - age * datetime.timedelta(seconds=self.minute),
                    "Value": value,
                }
                for metric, series in values.items()
                for age, value in enumerate(reversed(series))
                if value is not None
            ],
        )
        return begun

    def wait_for_minute(self) -> None:
        """Wait until a minute starts, so that the next steps run before it ends."""
        time.sleep(self.minute - time.time() % self.minute)

    def describe(self, name: str) -> Any:
        found = self.api.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        (alarm,) = found["MetricAlarms"] + found["CompositeAlarms"]
        return alarm

    def arn(self, name: str) -> str:
        return str(self.describe(name)["AlarmArn"])

    def set(self, name: str, state: str) -> None:
        self.api.set_alarm_state(AlarmName=name, StateValue=state, StateReason="said so")

    def reaches(self, name: str, state: str) -> Any:
        """Return the alarm when it has a state. The state must last: see ``changes``."""
        return eventually(
            lambda: alarm if (alarm := self.describe(name))["StateValue"] == state else None, seconds=PATIENCE
        )

    def changes(self, name: str, *states: str) -> None:
        """Wait until the history of an alarm has exactly these changes. A look at the state can miss a short one."""

        def changed() -> bool:
            found = self.states(name)
            assert found == list(states[: len(found)])
            return len(found) == len(states)

        eventually(changed, seconds=PATIENCE)

    def history(self, name: str, kind: str = "StateUpdate") -> list[Any]:
        """Return the history of an alarm, oldest first."""
        pages = self.api.get_paginator("describe_alarm_history").paginate(
            AlarmName=name,
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            HistoryItemType=kind,
            ScanBy="TimestampAscending",
        )
        return [item for page in pages for item in page["AlarmHistoryItems"]]

    def states(self, name: str, before: datetime.datetime | None = None) -> list[str]:
        """Return the states that an alarm changed to, all or those before a time."""
        items = [item for item in self.history(name) if before is None or item["Timestamp"] < before]
        return [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in items]

    def delete(self) -> None:
        while self.composite:
            self.api.delete_alarms(AlarmNames=[self.composite.pop()])
        while self.made:
            self.api.delete_alarms(AlarmNames=[self.made.pop()])
