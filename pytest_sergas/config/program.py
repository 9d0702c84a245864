"""What a program that starts pytest lays over the configuration file: its own settings of runs, and its checks.

It is a JSON document in the directory that the option ``--sergas-program`` names, which `pytest_sergas.plugin.progress`
registers:

    {"runs": {KEY: VALUE, ...}, "checks": [ENTRY, ...], "found": {NAME: [STATUS, MESSAGE], ...}}

``found`` is what checks found that exist in the program alone, such as functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_sergas.config.file import ConfigFile
from pytest_sergas.config.runs import RUNS

DOCUMENT = "program.json"
RECORD = "run.ctrf.json"
_FILES = ("ctrf", "markdown", "textfile", "durations", "history", "push_password_file", "push_token_file")


@dataclass(frozen=True, slots=True)
class Program:
    """What a program says.

    Attributes:
        runs: the top-level keys of runs, under their own names.
        checks: entries of ``[[checks]]``.
        found: name of a check → its status and message when the run began.
    """

    runs: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[Mapping[str, Any], ...] = ()
    found: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path | str | None) -> Program:
        """Return what the program has left in ``directory``; nothing without one."""
        if not directory:
            return cls()
        document = json.loads(Path(directory, DOCUMENT).read_text("utf-8"))
        found = {name: (status, message) for name, (status, message) in document["found"].items()}
        return cls(document["runs"], tuple(document["checks"]), found)

    def write(self, directory: Path) -> None:
        """Leave it in ``directory``."""
        document = {"runs": self.runs, "checks": self.checks, "found": self.found}
        Path(directory, DOCUMENT).write_text(json.dumps(document, default=str), "utf-8")

    def over(self, file: ConfigFile) -> ConfigFile:
        """Return ``file`` with what the program says in the place of what it says itself."""
        table = {key: value for key, value in file.table.items() if RUNS.names.get(key, key) not in self.runs}
        table |= self.runs
        types, own = file.table.get("types"), self.runs.get("types")
        if isinstance(types, Mapping) and isinstance(own, Mapping):
            table["types"] = {**types, **{name: _over(types.get(name), value) for name, value in own.items()}}
        if self.checks:
            names = {entry["name"] for entry in self.checks}
            written = file.table.get("checks", [])
            others = written if isinstance(written, list) else []
            table["checks"] = [*(entry for entry in others if _name(entry) not in names), *map(dict, self.checks)]
        return replace(file, name=file.name or ("config" if self.runs or self.checks else ""), table=table)


def _over(written: object, own: object) -> object:
    return {**written, **own} if isinstance(written, Mapping) and isinstance(own, Mapping) else own


def _name(entry: object) -> object:
    return entry.get("name", entry.get("type")) if isinstance(entry, Mapping) else None


def runs_of(table: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Return the keys of ``table`` that are about runs, under their own names, with paths that hold anywhere."""
    found = {RUNS.names.get(key, key): value for key, value in table.items() if RUNS.names.get(key, key) in RUNS.keys}
    for key in _FILES:
        if isinstance(value := found.get(key), str | Path) and "://" not in str(value):
            found[key] = str((root / value).absolute())
    return found
