"""Local AWS reads AWS's descriptions of regions once, when it starts, because it cannot answer requests meanwhile."""

from __future__ import annotations

import os
import sys

from tests import processes
from tests.conftest import ROOT

# Prints each file of botocore that a client of local AWS reads after the start.
SCRIPT = """
from botocore.loaders import JSONFileLoader
from emulator.step_functions import aws_sdk
load_file = JSONFileLoader.load_file
JSONFileLoader.load_file = lambda loader, path: print(path) or load_file(loader, path)
aws_sdk._client("ssm", "eu-west-2", "000000000000")
"""


def test_clients_do_not_read_the_regions_again() -> None:
    environment = os.environ | {"GATEWAY_PORT": "4566"}
    files = processes.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment).stdout.split()
    assert [file for file in files if "/ssm/" in file]
    assert not [file for file in files if file.endswith("/endpoints")]
