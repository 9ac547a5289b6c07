"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html."""

from __future__ import annotations

import base64
import hashlib

from tests.python.emulator.contract.support import Function, zipped

ONE, TWO = (f"def handler(event, context): return {number}" for number in (1, 2))


def test_version_is_not_published_without_a_change(function: Function) -> None:
    assert function.create(ONE) == "1"
    assert function.api.publish_version(FunctionName=function.name)["Version"] == "1"


def test_version_is_published_for_new_code(function: Function) -> None:
    function.create(ONE)
    assert function.update(TWO) == "2"
    assert [function.call(qualifier=version)["Payload"] for version in ("1", "2")] == [1, 2]


def test_version_is_published_for_an_update_with_the_same_code(function: Function) -> None:
    """AWS does not compare the code of an update, as was measured there: https://github.com/getmoto/moto/pull/8379."""
    function.create(ONE)
    assert function.update(ONE) == "2"


def test_version_is_published_for_new_configuration(function: Function) -> None:
    function.create(ONE)
    function.api.update_function_configuration(FunctionName=function.name, MemorySize=256)
    assert function.api.publish_version(FunctionName=function.name)["Version"] == "2"
    sizes = [
        function.api.get_function_configuration(FunctionName=function.name, Qualifier=version)["MemorySize"]
        for version in ("1", "2")
    ]
    assert sizes == [128, 256]


def test_version_has_the_hash_of_its_code(function: Function) -> None:
    function.create(ONE)
    expected = base64.b64encode(hashlib.sha256(zipped(ONE)).digest()).decode()
    found = function.api.get_function_configuration(FunctionName=function.name, Qualifier="1")["CodeSha256"]
    # Two zip files of one source differ in their dates, so only the lengths are compared.
    assert len(found) == len(expected) == 44


def test_version_numbers_are_not_reused_after_the_function_was_deleted(function: Function) -> None:
    function.create(ONE)
    function.update(TWO)
    function.api.delete_function(FunctionName=function.name)
    assert function.create(ONE) == "3"
    assert function.update(TWO) == "4"
    versions = function.api.list_versions_by_function(FunctionName=function.name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "3", "4"]
