"""Fetch AWS's Lambda runtime interface emulator, which the tests run the artifact under.

AWS publishes it on GitHub, and in the AWS SAM CLI on PyPI, from where it comes without Docker or a browser.
https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
import zipfile
from pathlib import Path

from pathtolive.cli import LOCAL, CommandError, run

SAM_CLI = "1.170.0"
SHA256 = {
    "arm64": "ec2e5d09633d853834c008b1ef264bf834b258a94d551d2b2074966494b39a21",
    "x86_64": "6b1e686e62ab2baf5759c412c4864276ef2a88b094fca53ec070637ccba9b9a5",
}
MACHINES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}


def path() -> Path:
    """Return where the emulator for this machine is, or would be."""
    return LOCAL / "bin" / f"aws-lambda-rie-{SAM_CLI}"


def fetch() -> None:
    """Fetch the emulator, unless it is there.

    Raises:
        CommandError: it cannot be fetched, or is not the one that was published.
    """
    if path().exists():
        return
    machine = MACHINES.get(platform.machine().lower())
    if machine is None:
        raise CommandError(f"AWS has no runtime interface emulator for {platform.machine()}")
    print("Fetching AWS's Lambda runtime interface emulator ...", file=sys.stderr)
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        try:
            run([*pip, "--dest", directory, f"aws-sam-cli=={SAM_CLI}"], quiet=True)
        except CommandError as error:
            raise CommandError(f"The tests need the package aws-sam-cli: is PyPI in reach?\n{error}") from error
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"samcli/local/rapid/aws-lambda-rie-{machine}")
    if hashlib.sha256(content).hexdigest() != SHA256[machine]:
        raise CommandError(f"aws-sam-cli {SAM_CLI} holds another emulator than was published: do not use it")
    path().parent.mkdir(parents=True, exist_ok=True)
    partial = path().with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.chmod(0o755)
    partial.replace(path())
