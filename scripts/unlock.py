"""Release the lock of Terraform's state, after a command that held it was killed.

Print who holds the lock and since when, and ask. Without a terminal, CONFIRM names the ID of the lock.
"""

from __future__ import annotations

from pathtolive import stack, state, target
from pathtolive.cli import CommandError, Parser, main
from pathtolive.questions import confirmed


def command() -> int:
    """Return 0 if the state is not locked any more."""
    parser = Parser(__doc__)
    parser.variable("--confirm", "CONFIRM", metavar="ID", help="ID of the lock to release, instead of a question")
    options = parser.parse_args()
    here = stack.use(target.from_environment())
    lock = state.lock(here.target)
    if lock is None:
        print("Terraform's state is not locked.")
        return 0
    print(lock)
    question = "Has that command ended, so that the lock can be released?"
    if lock.id != options.confirm and (options.confirm or not confirmed(question)):
        raise CommandError(
            "The lock was not released. If that command has ended, release the lock with: "
            f"make unlock CONFIRM={lock.id}{here.target.make_variables}"
        )
    here.unlock(lock)
    print("The lock is released.")
    return 0


if __name__ == "__main__":
    main(command)
