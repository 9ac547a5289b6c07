"""Check this machine: print the installed tools and packages, what is missing, and the targets that answer.

Exit status: 0 everything that is needed works, 1 there is a problem. A missing tool that only some commands need is no
problem.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from pathtolive.doctor import machine


def main() -> int:
    """Return 0 if there is no problem."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    healthy = True
    for found in _findings():
        first, *more = found.text.splitlines() or [""]
        print("\n".join([f"{found.state:<8} {found.name:<15} {first}", *(f"{'':<25}{line}" for line in more)]))
        healthy = healthy and found.state != machine.PROBLEM
    return 0 if healthy else 1


def _findings() -> Iterator[machine.Finding]:
    yield from machine.findings()
    try:
        from pathtolive.doctor import targets  # noqa: PLC0415 - it needs the packages
    except ModuleNotFoundError:
        yield machine.Finding(machine.MISSING, "targets", "not checked, because packages are missing in this Python")
    else:
        yield from targets.findings()


if __name__ == "__main__":
    sys.exit(main())
