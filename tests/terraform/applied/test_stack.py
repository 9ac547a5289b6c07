"""The applied root module, with its state in S3: one stack, which each test changes further."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import provider
from tests.conftest import REGION, get
from tests.terraform import dashboards
from tests.terraform.modules.test_modules import ACCESS_LOG
from tests.terraform.support import Configuration, copy, stage_url, write_artifact, write_config
from tests.waiting import eventually

NEWEST = {"function_version": "newest", "gateway_deployment": "newest"}
# Resources that had another address in earlier configurations, apart from the emails.
EARLIER = {
    "module.monitoring.aws_cloudwatch_dashboard.this": "module.dashboard.aws_cloudwatch_dashboard.this",
    "module.monitoring.aws_kms_alias.this": "module.notifications.aws_kms_alias.this[0]",
    "module.monitoring.aws_kms_key.this": "module.notifications.aws_kms_key.this[0]",
    "module.monitoring.aws_sns_topic.this": "module.notifications.aws_sns_topic.this",
    "module.monitoring.aws_sns_topic_policy.this": "module.notifications.aws_sns_topic_policy.this",
}
ROUTES = 'toset(["ANY /", "ANY /build-info"])'


@dataclass
class Stack:
    configuration: Configuration
    client: Callable[[str], Any]
    name: str
    bucket: str

    @property
    def directory(self) -> Path:
        return self.configuration.directory

    def url(self, stage: str, path: str = "") -> str:
        outputs = self.configuration.outputs()
        return stage_url(outputs["api_id"], stage, outputs["stages"][stage]["url"]) + path

    def answers(self, path: str = "") -> dict[str, str]:
        """Return the answer of every stage, or its status if that differs from 200."""
        answers = {stage: get(self.url(stage, path)) for stage in ("dev", "test", "live")}
        return {stage: body if status == 200 else str(status) for stage, (status, body) in answers.items()}

    def alias(self, stage: str) -> Any:
        return self.client("lambda").get_alias(FunctionName=self.name, Name=stage)

    def pin(self, deployments: list[str], test: tuple[Any, str], live: tuple[Any, str]) -> None:
        stages = {"dev": NEWEST} | {
            stage: {"function_version": version, "gateway_deployment": deployment}
            for stage, (version, deployment) in (("test", test), ("live", live))
        }
        write_config(self.directory, stages, deployments)


@pytest.fixture(scope="module")
def stack(client: Callable[[str], Any], endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"stack-{uuid.uuid4().hex[:8]}"
    bucket = f"{name}-state"
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    directory = copy(tmp_path_factory.mktemp("stack") / "terraform")
    write_artifact(directory)
    backend = {"bucket": bucket, "region": REGION, "use_path_style": "true"}
    with provider.running(tmp_path_factory.mktemp("provider"), endpoint, directory) as attached:
        configuration = Configuration(directory, backend=backend, provider=attached).variables(name=name)
        configuration.apply()
        yield Stack(configuration, client, name, bucket)
        configuration.destroy()
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)


class TestApplied:
    def test_every_stage_answers_after_the_first_apply(self, stack: Stack) -> None:
        assert stack.answers() == {"dev": "Hello 1", "test": "Hello 1", "live": "Hello 1"}

    def test_plan_is_empty_after_the_first_apply(self, stack: Stack) -> None:
        assert stack.configuration.detailed_exit_code() == 0

    def test_state_is_in_the_bucket_without_a_lock(self, stack: Stack) -> None:
        items = stack.client("s3").list_objects_v2(Bucket=stack.bucket)["Contents"]
        assert [item["Key"] for item in items] == ["path-to-live.tfstate"]

    def test_locked_state_is_not_changed(self, stack: Stack) -> None:
        s3, lock = stack.client("s3"), "path-to-live.tfstate.tflock"
        holder = {"ID": str(uuid.uuid4()), "Operation": "OperationTypeApply", "Who": "someone@elsewhere"}
        s3.put_object(Bucket=stack.bucket, Key=lock, Body=json.dumps(holder))
        refusal = stack.configuration.refusal()
        s3.delete_object(Bucket=stack.bucket, Key=lock)
        assert "Error acquiring the state lock" in refusal
        assert "someone@elsewhere" in refusal

    def test_role_may_only_write_its_log(self, stack: Stack) -> None:
        iam = stack.client("iam")
        group = stack.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.name}")["logGroups"]
        assert iam.list_role_policies(RoleName=stack.name)["PolicyNames"] == ["logs"]
        assert iam.list_attached_role_policies(RoleName=stack.name)["AttachedPolicies"] == []
        assert iam.get_role_policy(RoleName=stack.name, PolicyName="logs")["PolicyDocument"] == {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "WriteLogs",
                    "Effect": "Allow",
                    "Action": ["logs:PutLogEvents", "logs:CreateLogStream"],
                    "Resource": f"{group[0]['arn'].removesuffix(':*')}:*",
                }
            ],
        }

    @pytest.mark.parametrize("stage", ["dev", "test", "live"])
    def test_alias_may_be_invoked_only_by_its_stage(self, stack: Stack, stage: str) -> None:
        functions = stack.client("lambda")
        policy = json.loads(functions.get_policy(FunctionName=stack.name, Qualifier=stage)["Policy"])
        (statement,) = policy["Statement"]
        account = functions.get_function(FunctionName=stack.name)["Configuration"]["FunctionArn"].split(":")[4]
        api = stack.configuration.outputs()["api_id"]
        assert statement == {
            "Sid": f"stage-{stage}",
            "Effect": "Allow",
            "Principal": {"Service": "apigateway.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": f"arn:aws:lambda:{REGION}:{account}:function:{stack.name}:{stage}",
            "Condition": {"ArnLike": {"AWS:SourceArn": f"arn:aws:execute-api:{REGION}:{account}:{api}/{stage}/*"}},
        }

    def test_function_may_not_be_invoked_without_an_alias(self, stack: Stack) -> None:
        functions = stack.client("lambda")
        for qualifier in ({}, {"Qualifier": "1"}):
            with pytest.raises(functions.exceptions.ResourceNotFoundException):
                functions.get_policy(FunctionName=stack.name, **qualifier)

    def test_access_log_has_each_request(self, stack: Stack) -> None:
        group = f"/aws/apigateway/{stack.name}/dev"
        assert get(stack.url("dev", "build-info"))[0] == 200
        logs = stack.client("logs")

        def lines() -> list[dict[str, str]]:
            events = logs.filter_log_events(logGroupName=group)["events"]
            return [line for event in events if (line := json.loads(event["message"]))["path"].endswith("/build-info")]

        line = eventually(lines)[-1]
        assert set(line) == ACCESS_LOG
        assert (line["method"], line["status"], line["stage"]) == ("GET", "200", "dev")
        assert line["routeKey"] == "ANY /build-info"
        assert line["lambdaRequestId"] not in {"", "-"}

    @pytest.mark.parametrize("stage", ["dev", "test", "live"])
    def test_stage_is_throttled(self, stack: Stack, stage: str) -> None:
        made = stack.client("apigatewayv2").get_stage(ApiId=stack.configuration.outputs()["api_id"], StageName=stage)
        settings = made["DefaultRouteSettings"]
        assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (500, 1000)

    def test_dashboard_shows_every_alarm_and_the_stages_of_the_path(self, stack: Stack) -> None:
        monitoring = stack.client("cloudwatch")
        widgets = json.loads(monitoring.get_dashboard(DashboardName=stack.name)["DashboardBody"])["widgets"]
        dashboards.check(widgets)
        titles = [widget["properties"].get("title", "") for widget in widgets]
        suffix = ": invocations by version"
        assert [title.removesuffix(suffix) for title in titles if title.endswith(suffix)] == ["live", "test", "dev"]
        found = monitoring.describe_alarms(AlarmNamePrefix=stack.name, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        alarms = {alarm["AlarmArn"] for alarm in [*found["MetricAlarms"], *found["CompositeAlarms"]]}
        assert len(alarms) == 18
        assert set(widgets[0]["properties"]["alarms"]) == alarms
        thresholds = {alarm["AlarmName"]: alarm["Threshold"] for alarm in found["MetricAlarms"]}
        for widget in widgets:
            for limit in widget["properties"].get("annotations", {}).get("horizontal", []):
                stage, kind = widget["properties"]["title"].partition(":")[0], limit["label"].split()[4]
                assert limit["value"] == thresholds[f"{stack.name}-{stage}-{kind}"]
        stages = stack.configuration.outputs()["stages"]
        links = re.findall(r"\[(\w+)\]\(([^)]+)\)", widgets[1]["properties"]["markdown"])
        assert links[:3] == [(stage, stages[stage]["url"]) for stage in ("dev", "test", "live")]

    @pytest.mark.parametrize("name", ["durations", "errors", "errors-by-version", "releases", "responses"])
    def test_saved_query_runs_on_its_logs(self, stack: Stack, name: str) -> None:
        logs = stack.client("logs")
        described = logs.describe_query_definitions(queryDefinitionNamePrefix=f"{stack.name}/{name}")
        (found,) = [each for each in described["queryDefinitions"] if each["name"] == f"{stack.name}/{name}"]
        now = int(time.time())
        query = {"queryString": found["queryString"], "logGroupNames": found["logGroupNames"]}
        started = logs.start_query(startTime=now - 3600, endTime=now, **query)["queryId"]
        assert eventually(lambda: logs.get_query_results(queryId=started)["status"] == "Complete")

    def test_alarms_link_to_the_dashboard_in_the_console_and_to_no_runbook(self, stack: Stack) -> None:
        found = stack.client("cloudwatch").describe_alarms(
            AlarmNamePrefix=stack.name, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        descriptions = {one["AlarmDescription"] for one in [*found["MetricAlarms"], *found["CompositeAlarms"]]}
        console = f"https://console.aws.amazon.com/cloudwatch/home?region={REGION}"
        assert {text.partition(". ")[2] for text in descriptions} == {
            f"Dashboard: {console}#dashboards:name={stack.name}"
        }

    def test_topic_lets_only_alarms_and_roles_of_the_service_publish(self, stack: Stack) -> None:
        topic = stack.configuration.outputs()["topic_arn"]
        account = topic.split(":")[4]
        policy = stack.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
        statements = {statement.pop("Sid"): statement for statement in json.loads(policy)["Statement"]}
        assert statements == {
            "PublishFromAlarms": {
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": "sns:Publish",
                "Resource": topic,
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:*:{account}:alarm:{stack.name}-*"},
                },
            },
            "DenyOtherPublishers": {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sns:Publish",
                "Resource": topic,
                "Condition": {
                    "ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{account}:role/{stack.name}-*"},
                    "Bool": {"aws:PrincipalIsAWSService": "false"},
                },
            },
        }

    def test_state_of_an_earlier_configuration_keeps_its_resources(self, stack: Stack) -> None:
        for old, new in EARLIER.items():
            stack.configuration.run("state", "mv", new, old)
        changes = stack.configuration.plan().resource_changes
        stack.configuration.apply()
        assert {new: changes[new].get("previous_address") for new in EARLIER.values()} == {
            new: old for old, new in EARLIER.items()
        }
        assert {action for change in changes.values() for action in change["change"]["actions"]} <= {"no-op", "read"}

    def test_release_role_may_publish_to_the_topic_and_use_its_key(self, stack: Stack) -> None:
        topic = stack.configuration.outputs()["topic_arn"]
        key = stack.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["KmsMasterKeyId"]
        iam = stack.client("iam")
        policy = iam.get_role_policy(RoleName=f"{stack.name}-live-release", PolicyName="release")["PolicyDocument"]
        granted = {statement["Sid"]: statement for statement in policy["Statement"]}
        assert granted["PublishNotifications"]["Resource"] == topic
        assert granted["EncryptNotifications"]["Resource"] == key
        assert set(granted["EncryptNotifications"]["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}


@pytest.mark.story
class TestChanges:
    """Each test continues the one before it."""

    def test_change_reaches_the_stages_that_follow_the_newest(self, stack: Stack) -> None:
        stack.pin(["1"], test=("1", "1"), live=("1", "1"))
        write_artifact(stack.directory, "Good day")
        stack.configuration.apply()
        assert stack.answers() == {"dev": "Good day 2", "test": "Hello 1", "live": "Hello 1"}
        assert stack.configuration.detailed_exit_code() == 0

    def test_pin_may_be_a_number(self, stack: Stack) -> None:
        stack.pin(["1"], test=(1, "1"), live=(1, "1"))
        assert stack.configuration.detailed_exit_code() == 0

    def test_weights_do_not_appear_in_a_plan(self, stack: Stack) -> None:
        weights = {"AdditionalVersionWeights": {"2": 0.1}}
        stack.client("lambda").update_alias(FunctionName=stack.name, Name="live", RoutingConfig=weights)
        assert stack.configuration.detailed_exit_code() == 0

    def test_apply_for_another_stage_keeps_the_weights(self, stack: Stack) -> None:
        before = stack.alias("live")
        stack.pin(["1"], test=("2", "1"), live=("1", "1"))
        assert stack.configuration.changes() == [
            "output.stages",
            'module.alias["test"].aws_lambda_alias.this',
        ]
        stack.configuration.apply()
        after = stack.alias("live")
        stack.client("lambda").update_alias(
            FunctionName=stack.name, Name="live", RoutingConfig={"AdditionalVersionWeights": {}}
        )
        assert after["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}
        assert after["RevisionId"] == before["RevisionId"]
        assert stack.answers() == {"dev": "Good day 2", "test": "Good day 2", "live": "Hello 1"}

    def test_new_route_reaches_the_stages_that_follow_the_routes(self, stack: Stack) -> None:
        main = stack.directory / "main.tf"
        text = main.read_text()
        assert ROUTES in text
        main.write_text(text.replace(ROUTES, 'toset(["ANY /", "ANY /build-info", "ANY /ping"])'))
        stack.configuration.apply()
        assert stack.answers("ping") == {"dev": "Good day 2", "test": "404", "live": "404"}
        assert stack.configuration.detailed_exit_code() == 0

    def test_new_route_reaches_a_stage_with_a_new_deployment(self, stack: Stack) -> None:
        stack.pin(["1", "2"], test=("2", "2"), live=("1", "1"))
        stack.configuration.apply()
        assert stack.answers("ping") == {"dev": "Good day 2", "test": "Good day 2", "live": "404"}
        held = stack.configuration.outputs()
        assert held["gateway_deployments"]["2"]["routes"] == held["routes"]
        assert held["gateway_deployments"]["1"]["routes"] != held["routes"]
        assert stack.configuration.detailed_exit_code() == 0

    def test_pins_variable_takes_precedence_over_an_older_config(self, stack: Stack) -> None:
        stack.pin(["1"], test=("1", "1"), live=(None, "1"))
        stack.configuration.variables(
            name=stack.name,
            pins={
                "test": {"function_version": "2", "gateway_deployment": "2"},
                "live": {"function_version": "1"},
            },
        )
        kept = stack.configuration.changes()
        stack.configuration.variables(name=stack.name)
        assert kept == []
        assert 'module.alias["test"].aws_lambda_alias.this' in stack.configuration.changes()

    def test_deployment_in_use_cannot_be_removed(self, stack: Stack) -> None:
        stack.pin(["2"], test=("2", "2"), live=("1", "1"))
        assert 'Stage live is pinned to the gateway deployment "1"' in stack.configuration.refusal()

    def test_stage_changes_its_deployment_and_the_previous_one_is_removed_in_one_apply(self, stack: Stack) -> None:
        stack.pin(["2"], test=("2", "2"), live=("1", "2"))
        stack.configuration.apply()
        outputs = stack.configuration.outputs()
        kept = stack.client("apigatewayv2").get_deployments(ApiId=outputs["api_id"])["Items"]
        pinned = outputs["gateway_deployments"]["2"]["id"]
        assert [item["DeploymentId"] for item in kept if not item.get("AutoDeployed")] == [pinned]
        assert stack.answers("ping")["live"] == "Hello 1"

    def test_apply_fails_if_a_version_was_deleted(self, stack: Stack) -> None:
        write_artifact(stack.directory, "Good evening")
        stack.configuration.apply()
        stack.pin(["2"], test=("3", "2"), live=("1", "2"))
        stack.configuration.apply()
        stack.client("lambda").delete_function(FunctionName=stack.name, Qualifier="2")
        stack.pin(["2"], test=("2", "2"), live=("1", "2"))
        refusal = stack.configuration.failing_apply()
        stack.pin(["2"], test=("3", "2"), live=("1", "2"))
        assert "ResourceNotFoundException" in refusal
        # After a failure, Terraform writes the outputs again. The resources don't change.
        assert stack.configuration.changes() == ["output.stages"]
        assert stack.answers() == {"dev": "Good evening 3", "test": "Good evening 3", "live": "Hello 1"}

    def test_destroy_leaves_nothing(self, stack: Stack) -> None:
        stack.configuration.destroy()
        left = {
            "functions": stack.client("lambda").list_functions()["Functions"],
            "apis": stack.client("apigatewayv2").get_apis()["Items"],
            "roles": stack.client("iam").list_roles()["Roles"],
            "log groups": stack.client("logs").describe_log_groups()["logGroups"],
            "alarms": stack.client("cloudwatch").describe_alarms()["MetricAlarms"],
            "query definitions": stack.client("logs").describe_query_definitions()["queryDefinitions"],
            "topics": stack.client("sns").list_topics()["Topics"],
            "rules": stack.client("events").list_rules()["Rules"],
            "state machines": stack.client("stepfunctions").list_state_machines()["stateMachines"],
        }
        found = {kind: [item for item in items if stack.name in str(item)] for kind, items in left.items()}
        assert found == {kind: [] for kind in left}
