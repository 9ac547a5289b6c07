"""Download AWS's Lambda runtime interface emulator, in which tests run the artifact.

AWS publishes it on GitHub, and in the AWS SAM CLI on PyPI, which needs no Docker.
https://docs.aws.amazon.com/lambda/latest/dg/python-image.html
"""

from __future__ import annotations

import hashlib
import platform
import sys
import tempfile
import zipfile
from pathlib import Path

from pathtolive import files
from pathtolive.cli import LOCAL, CommandError, run

SAM_CLI = "1.170.0"
SHA256 = {
    "arm64": "ec2e5d09633d853834c008b1ef264bf834b258a94d551d2b2074966494b39a21",
    "x86_64": "6b1e686e62ab2baf5759c412c4864276ef2a88b094fca53ec070637ccba9b9a5",
}
MACHINES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}


def path() -> Path:
    """Return the path of the emulator for this machine."""
    return LOCAL / "bin" / f"aws-lambda-rie-{SAM_CLI}"


def fetch() -> None:
    """Download the emulator if it is missing.

    Raises:
        CommandError: it cannot be downloaded, or is not the published one.
    """
    if path().exists():
        return
    machine = MACHINES.get(platform.machine().lower())
    if machine is None:
        raise CommandError(f"AWS has no runtime interface emulator for {platform.machine()}")
    print("Downloading AWS's Lambda runtime interface emulator ...", file=sys.stderr)
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        try:
            run([*pip, "--dest", directory, f"aws-sam-cli=={SAM_CLI}"], quiet=True)
        except CommandError as error:
            raise CommandError(
                f"The package aws-sam-cli, which the tests need, could not be downloaded. Check the network\n{error}"
            ) from error
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"samcli/local/rapid/aws-lambda-rie-{machine}")
    if hashlib.sha256(content).hexdigest() != SHA256[machine]:
        raise CommandError(f"aws-sam-cli {SAM_CLI} contains another emulator than the published one. Do not use it.")
    files.write(path(), content, mode=0o755)
