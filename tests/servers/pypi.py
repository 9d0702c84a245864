"""Plugins of pytest that meet ours in a few tests only, each installed once into ``.tools`` of the repository.

In the environment itself they would be part of every run of pytest there. ``python -m tests.servers.pypi`` installs
them before the tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

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
    """Install beside the final place and rename, so that two that install at once do not meet."""
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS) as temporary:
        new = Path(temporary, "new")
        # Without dependencies: another pytest would come along.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(new), *wanted]
        done = subprocess.run(command, capture_output=True, check=False, timeout=100)
        if done.returncode != 0:
            missing(wanted[0], f"pip install failed: {done.stderr.decode()[-500:]}")
        try:
            new.rename(directory)
        except OSError:
            if not directory.exists():  # another process was no faster
                raise


if __name__ == "__main__":
    for name in PACKAGES:
        try:
            installed(name)
        except (pytest.skip.Exception, pytest.fail.Exception) as reason:
            sys.stderr.write(f"{reason}\n")  # the tests that need it skip or fail
