"""Scan the code, the workflows, and Terraform, and search for secrets; or scan a plan, with its IAM documents.

scans/accepted.toml lists the accepted findings, each with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

from pathtolive import actions
from pathtolive.cli import CommandError, Parser, main
from pathtolive.scanning import findings, scanners


def command() -> int:
    """Return 0 if all findings are accepted, and everything that is accepted is found."""
    parser = Parser(__doc__)
    parser.variable("--plan-json", "PLAN_JSON", metavar="FILE", type=Path, help="scan this plan, as JSON")
    parser.add_argument("--audit", action="store_true", help="find known vulnerabilities of the locked packages")
    options = parser.parse_args()
    known = findings.accepted()
    if options.plan_json:
        content = json.loads(options.plan_json.read_text())
        # A plan has only some of the resources and changes, so it cannot show what is accepted in vain.
        found, complete = _all(lambda: scanners.plan(content), lambda: scanners.policies(content)), set[str]()
    elif options.audit:
        found, complete = scanners.audit(), {"pip-audit"}
    else:
        found = _all(scanners.checkov, scanners.bandit, scanners.jactionlint)
        complete = {"bandit", "checkov", "jactionlint"}
    left = findings.remaining(found, known)
    useless = findings.unused(found, known, complete) if complete else []
    title = f"Scan: {len(left)} {'finding' if len(left) == 1 else 'findings'}, {len(found) - len(left)} accepted"
    print("\n".join([title, *map(str, left)]))
    if left:
        actions.summarize(title, left)
        raise CommandError(
            "Fix the findings, or accept them in scans/accepted.toml, each with its reason. Then run the command again."
        )
    if useless:
        listed = "\n  ".join(useless)
        raise CommandError(
            "scans/accepted.toml has entries that have expired, or places that have no finding:\n  "
            f"{listed}\nRemove these."
        )
    return 0


def _all(*scans: Callable[[], list[findings.Finding]]) -> list[findings.Finding]:
    """Return the findings of scans that run at the same time."""
    with futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(scan) for scan in scans]
        return [finding for each in running for finding in each.result()]


if __name__ == "__main__":
    main(command)
