"""https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html."""

from __future__ import annotations

import re
import threading
from typing import Any

from tests.python.emulator.contract.support import Function
from tests.python.emulator.contract.test_lambda_metrics import total
from tests.waiting import eventually

COUNTER = """
    import os, time
    calls = 0
    def handler(event, context):
        global calls
        calls += 1
        print(f"call {calls}")
        time.sleep(event.get("sleep", 0))
        if event.get("fail"):
            raise ValueError("no good")
        return {"calls": calls, "pid": os.getpid()}
"""


def test_environment_is_reused(function: Function) -> None:
    function.create(COUNTER)
    assert [function.call({})["Payload"]["calls"] for _ in range(3)] == [1, 2, 3]


def test_environment_serves_one_invocation_at_a_time(function: Function) -> None:
    function.create(COUNTER, Timeout=10)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(function.call({"sleep": 1}))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer["Payload"]["calls"] for answer in answers) == [1, 1, 1]


def test_environment_survives_an_error(function: Function) -> None:
    function.create(COUNTER)
    function.call({})
    assert function.call({"fail": True})["FunctionError"] == "Unhandled"
    assert function.call({})["Payload"]["calls"] == 3


def test_error_has_type_message_and_stack(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html."""
    function.create(COUNTER)
    error = function.call({"fail": True})["Payload"]
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no good")
    assert error["requestId"]
    assert re.fullmatch(
        r'  File ".*handler\.py", line 10, in handler\n    raise ValueError\("no good"\)\n', error["stackTrace"][-1]
    )


def test_error_is_logged_with_its_traceback(function: Function) -> None:
    function.create(COUNTER)
    function.call({"fail": True})
    (message,) = eventually(lambda: [message for _, message in function.log() if message.startswith("[ERROR]")])
    assert message.startswith("[ERROR] ValueError: no good\nTraceback (most recent call last):\n")


def test_log_has_a_stream_per_environment(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html."""
    function.create(COUNTER)
    for _ in range(2):
        function.call({}, qualifier="1")
    log = eventually(lambda: [event for event in function.log() if len(function.log()) >= 9])
    (stream,) = {stream for stream, _ in log}
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}", stream)
    kinds = [message.split()[0] for _, message in log]
    assert kinds == ["INIT_START", "START", "call", "END", "REPORT", "START", "call", "END", "REPORT"]


def test_log_reports_initialization_only_for_a_cold_start(function: Function) -> None:
    function.create(COUNTER)
    for _ in range(2):
        function.call({})

    def reports() -> list[str]:
        return [message for _, message in function.log() if message.startswith("REPORT")]

    cold, warm = eventually(lambda: reports() if len(reports()) == 2 else [])
    assert re.search(r"\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms", cold)
    assert "Init Duration" not in warm


def test_log_is_written_to_the_configured_group(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html."""
    group = f"/contract/{function.name}"
    logs = function.client("logs")
    logs.create_log_group(logGroupName=group)
    function.create(COUNTER, LoggingConfig={"LogFormat": "Text", "LogGroup": group})
    function.call({})
    found = eventually(lambda: function.log(group))
    logs.delete_log_group(logGroupName=group)
    assert any(message == "call 1" for _, message in found)


def test_timeout_is_an_error_and_ends_the_environment(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html."""
    function.create(COUNTER, Timeout=1)
    first = function.call({})["Payload"]
    answer = function.call({"sleep": 3})
    after = function.call({})["Payload"]
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert after["calls"] == 1
    assert after["pid"] != first["pid"]


def test_exit_of_the_runtime_is_an_error(function: Function) -> None:
    function.create("import os\ndef handler(event, context): os._exit(3)")
    answer = function.call({})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == "Runtime.ExitError"


def test_error_at_import_is_returned(function: Function) -> None:
    function.create("raise RuntimeError('not today')")
    answer = function.call({})
    assert answer["FunctionError"] == "Unhandled"
    assert (answer["Payload"]["errorType"], answer["Payload"]["errorMessage"]) == ("RuntimeError", "not today")


def test_answer_that_is_not_json_is_an_error(function: Function) -> None:
    function.create("def handler(event, context): return {1, 2}")
    assert function.call({})["Payload"]["errorType"] == "Runtime.MarshalError"


def test_answer_that_is_too_large_is_an_error(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""
    function.create("def handler(event, context): return event['text'] * event['times']", Timeout=10)
    for text, times in (("x", 6_300_000), ("\u20ac", 2_100_000)):
        answer = function.call({"text": text, "times": times})
        assert answer["FunctionError"] == "Unhandled"
        assert answer["Payload"] == {
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
            "errorType": "Function.ResponseSizeTooLarge",
        }
    assert len(function.call({"text": "x", "times": 6_290_000})["Payload"]) == 6_290_000
    # The limit is for synchronous invocations.
    function.call({"text": "x", "times": 6_300_000}, InvocationType="Event")
    eventually(lambda: total(function, "Invocations", FunctionName=function.name) == 4, seconds=120)
    assert total(function, "Errors", FunctionName=function.name) == 2


def test_handler_can_close_its_output(function: Function) -> None:
    function.create(
        """
        import os, sys
        def handler(event, context):
            print("before")
            sys.stdout.close()
            os.close(1)
            return 1
        """
    )
    assert function.call({})["Payload"] == 1
    assert "before" in {message.strip() for _, message in function.log()}


def test_output_of_any_size_does_not_block(function: Function) -> None:
    function.create(
        "def handler(event, context):\n    for _ in range(3000): print('x' * 100)\n    return 1", Timeout=10
    )
    assert function.call({})["Payload"] == 1


def test_context_describes_the_function_and_its_environment(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""
    function.create(
        """
        import os
        def handler(event, context):
            return [context.function_name, context.function_version, context.memory_limit_in_mb,
                    context.log_group_name, context.get_remaining_time_in_millis(), os.environ["COLOUR"],
                    os.environ["_X_AMZN_TRACE_ID"], context.log_stream_name]
    """,
        Timeout=7,
        Environment={"Variables": {"COLOUR": "blue"}},
    )
    name, version, memory, group, remaining, colour, trace, stream = function.call({}, qualifier="1")["Payload"]
    assert (name, version, memory, group, colour) == (function.name, "1", "128", f"/aws/lambda/{function.name}", "blue")
    assert 5000 < remaining <= 7000
    assert trace.startswith("Root=1-")
    assert "[1]" in stream


def test_tail_of_the_log_is_in_the_answer(function: Function) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""
    import base64  # noqa: PLC0415 - only this test needs it

    function.create(COUNTER)
    assert "call 1" in base64.b64decode(function.call({}, LogType="Tail")["LogResult"]).decode()
