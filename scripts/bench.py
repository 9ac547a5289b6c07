"""Measure the service, a bare handler, and a handler with Powertools, and compare the service with its budgets."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from pathtolive import benchmark
from pathtolive.cli import CommandError, main, require


def command() -> int:
    """Return 0 if the service keeps every budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=15, help="new processes per handler (default: %(default)s)")
    parser.add_argument(
        "--invocations", type=int, default=2000, help="warm invocations per process (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the medians in ms, the bytes, and the missed budgets as JSON"
    )
    options = parser.parse_args()
    if min(options.processes, options.invocations) < 1:
        parser.error("--processes and --invocations must be at least 1")
    require("aws_lambda_powertools", target="bench")
    with tempfile.TemporaryDirectory() as temporary:
        directories = {name: Path(temporary) / name for name in ("bare", "ours", "powertools")}
        for name, code in (("bare", benchmark.BARE), ("powertools", benchmark.POWERTOOLS)):
            directories[name].mkdir()
            (directories[name] / "handler.py").write_text(code)
        size = benchmark.unpack(Path(temporary) / "lambda.zip", directories["ours"])
        medians = benchmark.measure(directories, options.processes, options.invocations)
    failures = benchmark.missed(medians, size)
    if options.json:
        result: dict[str, Any] = {"medians": medians, "bytes": size, "missed": failures}
        print(json.dumps(result))
    else:
        benchmark.show(medians, size)
    if failures:
        raise CommandError("\n".join(failures))
    return 0


if __name__ == "__main__":
    main(command)
