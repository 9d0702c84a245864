"""Plugins of pytest that meet ours in a few tests only, each installed once into ``.tools`` of the repository.

In the environment itself they would be part of every run of pytest there. ``python -m tests.servers.pypi`` installs
them before the tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers import once
from tests.servers.tools import TOOLS, missing

# With what they need, and the development tools have not brought.
PACKAGES = {
    "pytest-benchmark": ("pytest-benchmark==5.3.1", "py-cpuinfo==9.0.0"),
    "pytest-codspeed": ("pytest-codspeed==5.0.4",),
}


def installed(package: str) -> Path:
    """Return a directory for PYTHONPATH that has ``package``; install it where it is not yet."""
    wanted = PACKAGES[package]
    directory = TOOLS / f"{wanted[0]}-{sys.version_info.major}.{sys.version_info.minor}"
    if not directory.exists():
        _install(wanted, directory)
    return directory


def _install(wanted: tuple[str, ...], directory: Path) -> None:
    with once.new(directory) as place:
        # Without dependencies: another pytest would come along.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), *wanted]
        done = subprocess.run(command, capture_output=True, check=False, timeout=100)
        if done.returncode != 0:
            missing(wanted[0], f"pip install failed: {done.stderr.decode()[-500:]}")


if __name__ == "__main__":
    once.install_all(PACKAGES, installed)
