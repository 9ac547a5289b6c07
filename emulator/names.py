"""Check that MiniStack has every name that this package uses.

MiniStack can rename any of them in any version. Without this check, a missing name fails the first request that uses
it.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Mapping

from emulator import hooks

# A test compares this with the code: tests/python/emulator/test_names.py.
NAMES: Mapping[str, tuple[str, ...]] = {
    "ministack.app": (
        "_build_persistence_save_dict",
        "_get_module",
        "_handle_execute_api_request",
        "_handle_lifespan",
        "_handle_post_body_shortcuts",
        "_handle_pre_body_request",
        "_handle_special_data_plane_request",
        "_load_persisted_state",
        "_parse_execute_api_url",
        "_reset_all_state",
        "_state_map",
        "_with_data_plane_headers",
        "save_all",
    ),
    "ministack.core.concurrency": ("run_reentrant",),
    "ministack.core.iam_evaluator": (
        "EvalContext",
        "_gather_role_policies",
        "_permissions_boundary",
        "_resource_policy",
        "combine_resource_policy",
        "evaluate",
        "evaluate_resource_policy",
    ),
    "ministack.core.lambda_runtime": ("execution_credentials",),
    "ministack.core.persistence": (
        "PERSIST_STATE",
        "_json_default",
        "_json_object_hook",
    ),
    "ministack.core.responses": (
        "AccountRegionScopedDict",
        "error_response_json",
        "get_account_id",
        "get_region",
        "json_response",
        "new_uuid",
        "now_iso",
        "request_scope",
    ),
    "ministack.services.apigateway": (
        "_apigw_error",
        "_apigw_response",
        "_apis",
        "_create_deployment",
        "_create_route",
        "_create_stage",
        "_delete_deployment",
        "_delete_route",
        "_deployments",
        "_extract_lambda_ref_from_integration_uri",
        "_extract_path_params",
        "_handle_execute_in_scope",
        "_http_api_not_found",
        "_integrations",
        "_path_matches",
        "_route_specificity",
        "_routes",
        "_stages",
        "_update_integration",
        "_update_route",
        "_update_stage",
        "_v2_request_body_is_text",
        "stages_for_api",
    ),
    "ministack.services.apigateway_v1": (
        "find_api_scope",
        "stages_for_api",
    ),
    "ministack.services.cloudwatch": (
        "_alarm_history",
        "_alarm_tags_refusal",
        "_alarms",
        "_alarms._data",
        "_composite_alarms",
        "_composite_triggers",
        "_dashboards",
        "_describe_alarm_history",
        "_describe_alarms",
        "_error",
        "_evaluate_parent_alarms",
        "_history_entries",
        "_is_percentile_stat",
        "_parse_ts",
        "_percentile",
        "_put_composite_alarm",
        "_resource_tags",
        "_transition_composite",
        "_ts_iso",
        "_xml",
        "handle_request",
        "record_metric",
        "reset",
    ),
    "ministack.services.cloudwatch_logs": (
        "_append_log_events",
        "_collect_query_records",
        "_create_log_group",
        "_create_log_stream",
        "_deliveries",
        "_delivery_destinations",
        "_delivery_sources",
        "_destinations",
        "_fanout_to_subscription_filters",
        "_filter_log_events",
        "_log_events_lock",
        "_log_group_policies",
        "_log_groups",
        "_log_records",
        "_metric_filters",
        "_put_metric_filter",
        "_queries",
        "_resolve_query_log_groups",
        "_resource_policies",
        "_start_query",
        "handle_request",
    ),
    "ministack.services.eventbridge": (
        "_invoke_target",
        "_put_events",
        "_put_targets",
    ),
    "ministack.services.iam": ("_roles",),
    "ministack.services.lambda_svc": (
        "CODE_BLOB_DIR",
        "_add_permission",
        "_create_alias",
        "_create_function",
        "_delete_alias",
        "_delete_function",
        "_emit_lambda_logs",
        "_emit_lambda_metrics",
        "_execute_function",
        "_execute_function_warm",
        "_execute_function_with_config_scope",
        "_execution_record_for_config",
        "_func_arn",
        "_function_config_scope_mismatch",
        "_function_qualifier_not_found",
        "_functions",
        "_get_base_func_record_for_ref",
        "_get_func_record_for_ref",
        "_get_policy",
        "_invoke",
        "_lambda_function_name_and_qualifier_from_arn",
        "_policy_resource_arn",
        "_prune_orphan_code_blobs",
        "_publish_version",
        "_qp_first",
        "_qualifier_from_path_or_query",
        "_remove_permission",
        "_runtime_env_vars",
        "_update_alias",
        "_write_code_blob",
        "get_state",
        "invoke_async_with_retry",
    ),
    "ministack.services.sns": (
        "_error",
        "_fanout",
        "_list_subscriptions",
        "_list_subscriptions_by_topic",
        "_p",
        "_publish",
        "_refresh_subscription_counts",
        "_subscribe",
        "_topic_by_arn_any_scope",
        "_topics",
        "_xml",
        "topic_policy_for_arn",
    ),
    "ministack.services.stepfunctions": (
        "_ExecutionError",
        "_activities",
        "_api_name_to_sfn_key",
        "_apply_catcher",
        "_apply_input_path",
        "_apply_jsonata_arguments",
        "_apply_jsonata_output",
        "_apply_jsonata_template",
        "_apply_output_path",
        "_apply_parameters",
        "_apply_result_path",
        "_apply_result_selector",
        "_apply_state_assign",
        "_create_state_machine",
        "_emit_execution_status_event",
        "_error_matches",
        "_execute_choice",
        "_execute_map",
        "_execute_parallel",
        "_execute_pass",
        "_execute_task",
        "_execute_wait",
        "_executions",
        "_fail_state_error",
        "_find_matching_catcher",
        "_invoke_resource",
        "_invoke_with_callback",
        "_jsonata_state_field",
        "_list_executions",
        "_map_runs",
        "_next_or_end",
        "_register_sfn_jsonata_functions",
        "_resolve_path_or_ctx",
        "_resolve_state_machine_arn",
        "_run_execution",
        "_scaled_sleep",
        "_start_execution",
        "_state_machine_aliases",
        "_state_machine_versions",
        "_state_machines",
        "_state_query_language",
        "_stop_execution",
        "_tags",
        "_update_state_machine",
        "_validate_definition_jsonata",
        "_validate_state_machine_definition",
    ),
}


def check() -> None:
    """Return if MiniStack has all of them.

    Raises:
        HookError: MiniStack lacks one.
    """
    for module_name, names in NAMES.items():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise _error(module_name) from error
        for name in names:
            try:
                operator.attrgetter(name)(module)
            except AttributeError as error:
                raise _error(f"{module_name}.{name}") from error


def _error(name: str) -> hooks.HookError:
    return hooks.HookError(f"{name} does not exist: this is not MiniStack {hooks.MINISTACK_VERSION}. {hooks.REMEDY}")
