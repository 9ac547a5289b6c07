"""docs/permissions.md: which command uses each permission, and which attacks are denied."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from tests.conftest import ROOT
from tests.python.permissions.policies import Role
from tests.python.permissions.recorder import Use
from tests.terraform import attacks

PATH = ROOT / "docs" / "permissions.md"
HEAD = """\
# Permissions

This page lists every permission of the roles that `make bootstrap` creates, and of the roles of the service, with the
commands that use it. `make permissions` writes the page: it rehearses [the delivery pipeline](pipeline.md) on local
AWS, from an empty account to the removal of a stage, and records the requests of every job and every release. The
policy evaluator of [MiniStack](https://github.com/ministackorg/ministack) then evaluates each request with the
policies and the permissions boundary that its role has in the account.

The rehearsal fails if a request is denied, if a permission is neither used nor listed here with a reason, or if an
attack is allowed. `make test-all` also fails if this page is out of date.

No role can do what `make bootstrap` and `make destroy` do: they need an administrator's credentials. Nothing has run on
AWS itself yet: see [Deploying to AWS](aws.md#not-yet-run-on-aws).
"""
# The group of permissions, the statement, and the action.
Permission = tuple[str, str, str]
EVERY, INFRASTRUCTURE, DEV, LATER, RELEASE, ROLLBACK, FUNCTION = GROUPS = (
    "Every role of GitHub Actions",
    "Role path-to-live-infrastructure",
    "Role path-to-live-deploy-dev",
    "Roles path-to-live-deploy-test and path-to-live-deploy-live",
    "Role of the state machine of each stage",
    "Role of the rule of each stage that starts rollbacks",
    "Role of the function",
)
READ = "path-to-live-read"
ROLES = {
    "path-to-live-infrastructure": INFRASTRUCTURE,
    "path-to-live-deploy-dev": DEV,
    r"path-to-live-deploy-\w+": LATER,
    r"path-to-live-\w+-release": RELEASE,
    r"path-to-live-\w+-rollback": ROLLBACK,
    "path-to-live": FUNCTION,
}
ROW = re.compile(r"^\| (\w+) \| `([\w:]+)` \|", re.MULTILINE)


def group(role: str, policy: str) -> str:
    """Return the group of the permissions in a policy of a role. The roles of a group differ only in their stage."""
    return EVERY if policy == READ else next(found for name, found in ROLES.items() if re.fullmatch(name, role))


def granted(roles: Iterable[Role]) -> set[Permission]:
    """Return the permissions of roles."""
    return {
        (group(role.name, policy), statement, action) for role in roles for policy, statement, action in role.granted()
    }


def used(uses: Iterable[Use]) -> Mapping[Permission, set[str]]:
    """Return the commands that use each permission."""
    found: dict[Permission, set[str]] = defaultdict(set)
    for use in uses:
        for policy, statement in use.role.statements(use.request):
            found[group(use.role.name, policy), statement, use.request.action].add(use.command)
    return found


def text(commands: Mapping[Permission, set[str]], reasons: Mapping[Permission, str]) -> str:
    """Return the page: the permissions that commands use, those that have a reason, and the attacks."""
    sections = [HEAD]
    for title in GROUPS:
        rows = [
            (statement, f"`{action}`", _words(commands.get(permission, set())) or reasons[permission])
            for permission in sorted({*commands, *reasons})
            for found, statement, action in [permission]
            if found == title
        ]
        sections.append(f"## {title}\n\n{_table(('statement', 'action', 'used by'), rows)}")
    return "\n".join([*sections, _attacks()])


def listed(page: str) -> set[Permission]:
    """Return the permissions that a page lists."""
    sections = re.split(r"^## (.+)$", page, flags=re.MULTILINE)[1:]
    return {
        (title, statement, action)
        for title, section in zip(sections[::2], sections[1::2], strict=True)
        for statement, action in ROW.findall(section)
    }


def _attacks() -> str:
    requests = {
        **attacks.ATTACKS,
        "With the role of a stage: move another stage, steer its releases, or forget its rollbacks": (
            attacks.on_other_stages("deploy-dev")
        ),
    }
    denied = [
        (attack, _words({f"`{action}`" for actions, _, _ in found for action in actions}))
        for attack, found in requests.items()
    ]
    tokens = [(job, "any role but `plan`, which only reads") for job in attacks.ON_ANOTHER_BRANCH]
    tokens += [(job, "any role") for job in attacks.ELSEWHERE]
    return (
        "## Attacks\n\nEvery role of GitHub Actions is denied these requests. `tests/terraform/attacks.py` has their "
        f"resources:\n\n{_table(('attack', 'actions'), denied)}\n"
        "A token for another repository, branch, or environment gets no role. GitHub gives the jobs of pull requests\n"
        "from forks no token at all.\n\n"
        f"{_table(('the token is for', 'the job cannot assume'), tokens)}"
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ("---",) * len(head), *rows])


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" if name.startswith("make ") else name for name in sorted(names))
