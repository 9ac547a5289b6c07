"""Terraform applies, plans again, changes, and destroys alarms, dashboards, and metric filters."""

from __future__ import annotations

import shutil
import textwrap
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.python.emulator.contract.alarms import PATIENCE, Alarms
from tests.terraform.support import SOURCE, Configuration, Provider, copy
from tests.waiting import eventually

Client = Callable[[str], Any]
MODULE = SOURCE / "modules" / "monitoring"
MONITORING: dict[str, Any] = {
    "alarms": {
        "api_5xx_rate_percent": 1,
        "duration_p99_milliseconds": 1000,
        "error_rate_percent": 1,
        "throttles": 1,
    },
    "api_id": "abc",
    "function_arn": "arn:aws:lambda:eu-west-2:000000000000:function:it",
    "log_group_name": "it",
    "topic_arn": "arn:aws:sns:eu-west-2:000000000000:it",
}
# Of each stage: the errors and the invocations of each minute, and which alarms fire.
MINUTES: dict[str, tuple[list[tuple[int, int] | None], set[str]]] = {
    "brief": ([None, None, (2, 3), None, None], set()),
    "down": ([None, None, (1, 1), (1, 1), (1, 1)], {"total-failure", "unhealthy"}),
    "sound": ([(3, 1000)] * 5, set()),
    "unsure": ([(2, 100)] * 5, set()),
    "failing": ([(50, 1000)] * 5, {"api-5xx-rate", "error-rate", "unhealthy"}),
}

CONFIGURATION = """
    terraform {
      required_providers {
        aws = {
          source  = "hashicorp/aws"
          version = ">= 5.100, < 7"
        }
      }
    }

    provider "aws" {
      default_tags {
        tags = { Service = "contract" }
      }
    }

    variable "name" {
      type = string
    }

    variable "threshold" {
      type    = number
      default = 3
    }

    variable "status" {
      type    = number
      default = 500
    }

    resource "aws_sns_topic" "alarms" {
      name = var.name
    }

    resource "aws_cloudwatch_metric_alarm" "errors" {
      alarm_name          = "${var.name}-errors"
      alarm_description   = "Errors & <failures> of the \\"function\\""
      namespace           = "AWS/Lambda"
      metric_name         = "Errors"
      dimensions          = { FunctionName = var.name, Resource = "${var.name}:live" }
      statistic           = "Sum"
      period              = 60
      evaluation_periods  = 3
      datapoints_to_alarm = 2
      threshold           = var.threshold
      comparison_operator = "GreaterThanOrEqualToThreshold"
      treat_missing_data  = "notBreaching"
      unit                = "Count"
      alarm_actions       = [aws_sns_topic.alarms.arn]
      ok_actions          = [aws_sns_topic.alarms.arn]
    }

    resource "aws_cloudwatch_metric_alarm" "duration" {
      alarm_name                            = "${var.name}-duration"
      namespace                             = "AWS/Lambda"
      metric_name                           = "Duration"
      dimensions                            = { FunctionName = var.name }
      extended_statistic                    = "p99"
      evaluate_low_sample_count_percentiles = "ignore"
      period                                = 60
      evaluation_periods                    = 5
      threshold                             = 250.5
      comparison_operator                   = "GreaterThanThreshold"
      actions_enabled                       = false
    }

    resource "aws_cloudwatch_metric_alarm" "slow" {
      alarm_name          = "${var.name}-slow"
      namespace           = "AWS/Lambda"
      metric_name         = "Duration"
      dimensions          = { FunctionName = var.name }
      extended_statistic  = "TC(1000:)"
      period              = 60
      evaluation_periods  = 5
      threshold           = 3
      comparison_operator = "GreaterThanThreshold"
    }

    resource "aws_cloudwatch_metric_alarm" "rate" {
      alarm_name                = "${var.name}-rate"
      evaluation_periods        = 1
      threshold                 = 5
      comparison_operator       = "GreaterThanThreshold"
      treat_missing_data        = "ignore"
      insufficient_data_actions = [aws_sns_topic.alarms.arn]

      metric_query {
        id          = "rate"
        label       = "Error rate (%)"
        expression  = "IF(invocations >= 20, 100 * errors / invocations, 0)"
        return_data = true
      }

      dynamic "metric_query" {
        for_each = { errors = "Errors", invocations = "Invocations" }
        content {
          id = metric_query.key
          metric {
            namespace   = "AWS/Lambda"
            metric_name = metric_query.value
            dimensions  = { FunctionName = var.name }
            period      = 60
            stat        = "Sum"
            unit        = "Count"
          }
        }
      }
    }

    resource "aws_cloudwatch_composite_alarm" "unhealthy" {
      alarm_name        = "${var.name}-unhealthy"
      alarm_description = "The stage is unhealthy"
      alarm_rule = join(" OR ", [
        for alarm in [
          aws_cloudwatch_metric_alarm.errors,
          aws_cloudwatch_metric_alarm.duration,
          aws_cloudwatch_metric_alarm.rate,
        ] : "ALARM(\\"${alarm.alarm_name}\\")"
      ])
      alarm_actions = [aws_sns_topic.alarms.arn]

      actions_suppressor {
        alarm            = aws_cloudwatch_metric_alarm.duration.alarm_name
        extension_period = 60
        wait_period      = 120
      }
    }

    resource "aws_cloudwatch_log_group" "this" {
      name = var.name
    }

    resource "aws_cloudwatch_log_metric_filter" "failed" {
      name           = "${var.name}-failed"
      log_group_name = aws_cloudwatch_log_group.this.name
      pattern        = "{ ($.status >= ${var.status}) && ($.error NOT EXISTS) }"

      metric_transformation {
        namespace  = var.name
        name       = "failed"
        value      = "1"
        unit       = "Count"
        dimensions = { Alias = "$.function.alias", Version = "$.function.version" }
      }
    }

    resource "aws_cloudwatch_log_metric_filter" "latency" {
      name           = "${var.name}-latency"
      log_group_name = aws_cloudwatch_log_group.this.name
      pattern        = "{ $.latency = * }"

      metric_transformation {
        namespace     = var.name
        name          = "latency"
        value         = "$.latency"
        default_value = 0
      }
    }

    resource "aws_cloudwatch_dashboard" "this" {
      dashboard_name = var.name
      dashboard_body = jsonencode({
        widgets = [{ type = "text", x = 0, y = 0, properties = { markdown = "# <Stage> & more" } }]
      })
    }
"""


@pytest.fixture(scope="module")
def name() -> str:
    return f"contract-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def applied(provider: Provider, name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configuration]:
    directory = tmp_path_factory.mktemp("cloudwatch")
    (directory / "terraform.tf").write_text(textwrap.dedent(CONFIGURATION))
    shutil.copyfile(SOURCE / ".terraform.lock.hcl", directory / ".terraform.lock.hcl")
    configuration = Configuration(directory, provider=provider).variables(name=name)
    configuration.apply()
    yield configuration
    configuration.destroy()


def test_cloudwatch_plan_is_empty_after_apply(applied: Configuration) -> None:
    assert applied.detailed_exit_code() == 0


def test_cloudwatch_alarms_are_described_as_declared(applied: Configuration, client: Client, name: str) -> None:
    found = client("cloudwatch").describe_alarms(AlarmNamePrefix=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    alarms = {alarm["AlarmName"].rpartition("-")[2]: alarm for alarm in found["MetricAlarms"]}
    assert (alarms["errors"]["Period"], alarms["errors"]["DatapointsToAlarm"]) == (60, 2)
    assert alarms["duration"]["ExtendedStatistic"] == "p99"
    assert alarms["duration"]["EvaluateLowSampleCountPercentile"] == "ignore"
    assert alarms["slow"]["ExtendedStatistic"] == "TC(1000:)"
    assert {query["Id"] for query in alarms["rate"]["Metrics"]} == {"rate", "errors", "invocations"}
    assert found["CompositeAlarms"][0]["ActionsSuppressorWaitPeriod"] == 120


def test_cloudwatch_alarms_have_the_default_tags(applied: Configuration, client: Client, name: str) -> None:
    cloudwatch = client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNamePrefix=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    for alarm in found["MetricAlarms"] + found["CompositeAlarms"]:
        tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        assert tags == [{"Key": "Service", "Value": "contract"}]


def test_cloudwatch_alarm_changes_in_place(applied: Configuration, client: Client, name: str) -> None:
    applied.variables(name=name, threshold=4)
    changes = applied.plan().resource_changes
    assert changes["aws_cloudwatch_metric_alarm.errors"]["change"]["actions"] == ["update"]
    applied.apply()
    assert applied.detailed_exit_code() == 0
    (alarm,) = client("cloudwatch").describe_alarms(AlarmNames=[f"{name}-errors"])["MetricAlarms"]
    assert alarm["Threshold"] == 4


def test_cloudwatch_metric_filter_changes_in_place(applied: Configuration, client: Client, name: str) -> None:
    applied.variables(name=name, status=400)
    changes = applied.plan().resource_changes
    assert changes["aws_cloudwatch_log_metric_filter.failed"]["change"]["actions"] == ["update"]
    applied.apply()
    assert applied.detailed_exit_code() == 0
    found = client("logs").describe_metric_filters(logGroupName=name)["metricFilters"]
    assert [each["filterPattern"] for each in found] == [
        "{ ($.status >= 400) && ($.error NOT EXISTS) }",
        "{ $.latency = * }",
    ]


def test_cloudwatch_destroy_leaves_nothing(applied: Configuration, client: Client, name: str) -> None:
    applied.destroy()
    cloudwatch = client("cloudwatch")
    left = cloudwatch.describe_alarms(AlarmNamePrefix=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert left["MetricAlarms"] + left["CompositeAlarms"] == []
    assert cloudwatch.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"] == []
    filters = client("logs").describe_metric_filters(metricNamespace=name, metricName="failed")["metricFilters"]
    assert filters == []


@pytest.fixture(scope="module")
def fired(
    provider: Provider, client: Client, minute: float, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, set[str]]]:
    """Apply the alarms of the module to metrics of a separate namespace, and yield those that fired, by stage."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    configuration = Configuration(copy(tmp_path_factory.mktemp("monitoring") / "it", MODULE), provider=provider)
    main = configuration.directory / "main.tf"
    # "You cannot specify a namespace that begins with AWS/": only AWS publishes there.
    # https://docs.aws.amazon.com/sdk-for-java/latest/developer-guide/examples-cloudwatch-publish-custom-metrics.html
    main.write_text(main.read_text().replace('"AWS/', f'"{name}/'))
    configuration.variables(**MONITORING, name=name, stages=list(MINUTES)).apply()
    functions = Alarms(client, minute, f"{name}/Lambda")
    requests = Alarms(client, minute, f"{name}/ApiGateway")
    for stage, (minutes, _) in MINUTES.items():
        errors, total = ([values and values[index] for values in minutes] for index in (0, 1))
        functions.data_of(
            {"Errors": errors, "Invocations": total}, {"FunctionName": name, "Resource": f"{name}:{stage}"}
        )
        requests.data_of({"5xx": errors, "Count": total}, {"ApiId": MONITORING["api_id"], "Stage": stage})
    # The alarms of the last stage recover when every alarm was evaluated with each of these minutes.
    eventually(lambda: functions.states(f"{name}-{stage}-unhealthy")[-2:] == ["ALARM", "OK"], PATIENCE)
    found = client("cloudwatch").describe_alarms(AlarmNamePrefix=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    names = [alarm["AlarmName"] for alarm in [*found["MetricAlarms"], *found["CompositeAlarms"]]]
    fired = [alarm for alarm in names if "ALARM" in functions.states(alarm)]
    yield {
        stage: {alarm.removeprefix(prefix) for alarm in fired if alarm.startswith(prefix)}
        for stage in MINUTES
        for prefix in [f"{name}-{stage}-"]
    }
    configuration.destroy()


@pytest.mark.parametrize("stage", MINUTES)
def test_cloudwatch_alarms_of_a_stage_fire_if_it_is_not_chance(fired: dict[str, set[str]], stage: str) -> None:
    assert fired[stage] == MINUTES[stage][1]
