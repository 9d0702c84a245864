"""The file that configures us: ``[tool.sergas]`` in ``pyproject.toml``, or ``sergas.toml`` beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.text import one_line, show_value

PYPROJECT = "pyproject.toml"
SERGAS_TOML = "sergas.toml"

_BARE = r"[A-Za-z0-9_-]+"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What is written in the file, not yet judged.

    Attributes:
        root: the directory that paths are relative to.
        name: the file's name, or "" when there is none.
        head: the tables that lead to ours: ``("tool", "sergas")``, or none.
        table: our keys as they are written.
        project: the project's name according to ``pyproject.toml``, or "".
        faults: why a file cannot be used.
    """

    root: Path
    name: str
    head: tuple[str, ...]
    table: Mapping[str, object]
    project: str = ""
    faults: tuple[str, ...] = ()

    def place(self, path: tuple[str, ...]) -> str:
        """Return how an error names the key to which ``path`` leads: ``FILE: [TABLE] KEY``."""
        *tables, key = (one_line(part if re.fullmatch(_BARE, part) else repr(part), 80) for part in (*self.head, *path))
        table = f"[{'.'.join(tables)}] " if tables else ""
        return f"{self.name}: {table}{key}"


def read_file(root: Path) -> ConfigFile:
    """Read the file in ``root`` that configures us, if there is one."""
    faults: list[str] = []
    pyproject = _parse(root / PYPROJECT, faults)
    own = _parse(root / SERGAS_TOML, faults)
    project = _table(pyproject, "project").get("name", "")
    name = project if isinstance(project, str) else ""
    if "sergas" not in _table(pyproject, "tool"):
        file = SERGAS_TOML if own is not None else ""
        return ConfigFile(root, file, (), own or {}, name, tuple(faults))
    if os.path.lexists(root / SERGAS_TOML):
        faults.append(f"{SERGAS_TOML}: [tool.sergas] in {PYPROJECT} configures the same; keep one of the two")
    return ConfigFile(root, PYPROJECT, ("tool", "sergas"), _own(pyproject, faults), name, tuple(faults))


def find_file(start: Path) -> ConfigFile:
    """Read the file that configures us in ``start`` or in the closest directory above it, up to the repository's top.

    Without any there is no file, and paths are relative to ``start``.
    """
    for directory in (start, *start.parents):
        file = read_file(directory)
        if file.name or (file.faults and (directory == start or _names_us(directory))):
            return file
        if os.path.lexists(directory / ".git"):
            break
    return read_file(start)


def _names_us(directory: Path) -> bool:
    """Whether a file there that cannot be used would be ours; a stranger's broken one above is not our fault."""
    try:
        return os.path.lexists(directory / SERGAS_TOML) or b"sergas" in (directory / PYPROJECT).read_bytes()
    except OSError:
        return False


def read_named(path: Path) -> ConfigFile:
    """Read the file at ``path``: ``[tool.sergas]`` of a ``pyproject.toml``, of any other file the top level."""
    faults: list[str] = []
    if not os.path.lexists(path):
        faults.append(f"{path}: no such file; sergas init writes one")
    document = _parse(path, faults)
    if path.name != PYPROJECT:
        return ConfigFile(path.parent, path.name, (), document or {}, "", tuple(faults))
    return ConfigFile(path.parent, PYPROJECT, ("tool", "sergas"), _own(document, faults), "", tuple(faults))


def _own(document: Mapping[str, Any] | None, faults: list[str]) -> Mapping[str, Any]:
    """Return ``[tool.sergas]``, which is empty where there is none."""
    table = _table(document, "tool").get("sergas", {})
    if isinstance(table, dict):
        return table
    faults.append(f"{PYPROJECT}: [tool] sergas = {show_value('sergas', table)}: allowed: a table, [tool.sergas]")
    return {}


def _table(document: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    found = (document or {}).get(name)
    return found if isinstance(found, dict) else {}


def _parse(path: Path, faults: list[str]) -> dict[str, Any] | None:
    """Return the document, or None when there is no such file; what cannot be used is a fault."""
    if not os.path.lexists(path):
        return None
    if path.exists() and not path.is_file():
        faults.append(f"{path.name}: is not a file; rename it, or write the configuration there")
        return {}
    try:
        # A byte order mark, as some editors write it, is not part of the text.
        text = path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except OSError as error:
        faults.append(f"{path.name}: cannot be read: {error.strerror}")
        return {}
    except UnicodeDecodeError as error:
        faults.append(f"{path.name}: not UTF-8 at byte {error.start}; save it as UTF-8")
        return {}
    return _parse_text(path.name, text, faults)


def _parse_text(name: str, text: str, faults: list[str]) -> dict[str, Any]:
    import tomllib  # only where there is something to parse

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{name}: not TOML: {one_line(str(error), 200)}")
    except ValueError:  # Python reads no number of more than 4,300 digits
        faults.append(f"{name}: not TOML: a number has too many digits")
    except RecursionError:
        faults.append(f"{name}: not TOML: nested too deeply")
    return {}
