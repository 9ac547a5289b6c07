"""Build the artifact that runs on Lambda: the same sources always give the same bytes.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from pathtolive import interrupts
from pathtolive.build import ROOT, BuildError, build


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if the artifact is built, 1 if it cannot be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, default=ROOT / "lambda", help="source directory (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "dist" / "lambda.zip", help="zip file (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print path, bytes, CodeSha256, revision, modified as JSON")
    options = parser.parse_args(arguments)
    interrupts.catch_sigterm()
    try:
        summary = build(options.source, options.output)
    except BuildError as error:
        print(f"{error}\nThe artifact was not changed.", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(asdict(summary)))
    else:
        modified = ", with uncommitted changes" if summary.modified else ""
        revision = f"commit {summary.revision[:7]}{modified}" if summary.revision else "no commit"
        print(f"{summary.path}: {summary.bytes} bytes, {revision}, CodeSha256 {summary.CodeSha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
