"""Check IAM documents with parliament and cloudsplaining, in the Python of the scanners.

Reads a JSON list of objects with a place, and a document as IAM stores it, and writes one of findings.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

# parliament imports pkg_resources, which warns.
warnings.simplefilter("ignore")

import parliament  # noqa: E402 - after the filter
from cloudsplaining.command.scan_policy_file import scan_policy  # noqa: E402
from cloudsplaining.scan.resource_policy_document import ResourcePolicyDocument  # noqa: E402

# The resource of a trust policy is its own role. parliament expects one in every statement.
ROLE = "arn:aws:iam::000000000000:role/role"
Finding = dict[str, str]


def main() -> None:
    """Read documents, and write findings."""
    found = [finding for each in json.load(sys.stdin) for finding in _findings(each["place"], each["document"])]
    json.dump(found, sys.stdout)


def _findings(place: str, document: dict[str, Any]) -> Iterator[Finding]:
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    if place.endswith(".assume_role_policy"):
        statements = [{"Resource": ROLE, **statement} for statement in statements]
    complete = document | {"Statement": statements}
    yield from _of_parliament(place, complete)
    yield from _of_cloudsplaining(place, complete)


def _of_parliament(place: str, document: dict[str, Any]) -> Iterator[Finding]:
    for found in parliament.analyze_policy_string(json.dumps(document)).findings:
        finding = parliament.enhance_finding(found)
        text = f"{finding.title}: {finding.detail or finding.location.get('string')}"
        yield {"scanner": "parliament", "rule": finding.issue, "place": place, "text": text}


def _of_cloudsplaining(place: str, document: dict[str, Any]) -> Iterator[Finding]:
    """Yield what a policy allows without constraints, or what a policy with principals allows everyone."""
    if any("Principal" in statement for statement in document["Statement"]):
        public = ResourcePolicyDocument(document).internet_accessible_actions
        risks = {"InternetAccessible": {"findings": public}}
    else:
        risks = {name: risk for name, risk in scan_policy(document).items() if isinstance(risk, dict)}
    for name, risk in risks.items():
        if risk["findings"]:
            text = ", ".join(str(each) for each in risk["findings"])
            yield {"scanner": "cloudsplaining", "rule": name, "place": place, "text": text}


if __name__ == "__main__":
    main()
