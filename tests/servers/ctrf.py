"""The reference validator of CTRF: the npm package ``ctrf``, run by node."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers import npm

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
    directory: Path

    def faults(self, document: bytes) -> list[str]:
        """Return what is wrong with a CTRF document; nothing is an empty list."""
        done = subprocess.run(
            [self.node, "--input-type=module", "--eval", _SCRIPT],
            cwd=self.directory,
            input=document,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return list(json.loads(done.stdout))


def validator() -> Validator:
    """Return the validator; install it first where that has not been done."""
    return Validator(*npm.installed("ctrf"))
