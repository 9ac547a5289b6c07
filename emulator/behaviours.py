"""The behaviours of local AWS, in the order in which they are put in front of MiniStack."""

from __future__ import annotations

from emulator import cloudwatch
from emulator.api_gateway import addresses, deployments, requests, tags
from emulator.cloudwatch_logs import events, insights, metric_filters
from emulator.cloudwatch_logs import requests as log_requests
from emulator.eventbridge import targets
from emulator.lambda_ import aliases, invocations, permissions, versions
from emulator.sns import messages, subscriptions
from emulator.step_functions import definitions, executions, integrations, state_machines, states, tasks


def install() -> None:
    """Put every behaviour in its place.

    Raises:
        HookError: MiniStack lacks a function that one of them stands in for.
    """
    for behaviour in (
        aliases,
        invocations,
        permissions,
        versions,
        addresses,
        deployments,
        requests,
        tags,
        cloudwatch,
        events,
        insights,
        metric_filters,
        log_requests,
        targets,
        definitions,
        executions,
        integrations,
        state_machines,
        states,
        tasks,
        messages,
        subscriptions,
    ):
        behaviour.install()
