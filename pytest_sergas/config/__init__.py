"""The configuration: read from ``pyproject.toml`` or ``sergas.toml`` into frozen dataclasses.

    [tool.sergas]                      # in pyproject.toml; in sergas.toml the keys stand at the top level
    push = "http://gateway:9091"

    [tool.sergas.types.integration]
    paths = ["tests/integration"]
    timeout = 60

A key is asked for in this order: command line, environment, file, default; `Reading.sources` says which
of them decided. Reading finds *all* faults and raises them as one `ConfigurationError`.

    file       which file it is, and what is written there
    section    what a section is, and the reader
    runs       the plugin's section: the top level and the types
    serve      how the sidecar is reached, and what it keeps
    collect    what the sidecar measures, and whose pages it scrapes
    checks     what is checked
    rules      which rules are in force
    channels   where notifications go
    routes     which alerts go to whom, and when not at all
    toml       values as TOML

`SECTIONS` says where each section lives. A part that has settings of its own adds a line there; each part
reads its own section only, so that what belongs to another neither costs nor breaks anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sergas.config.file import PYPROJECT as PYPROJECT
from pytest_sergas.config.file import SERGAS_TOML as SERGAS_TOML
from pytest_sergas.config.file import ConfigFile, read_file
from pytest_sergas.config.runs import KEYS as KEYS
from pytest_sergas.config.runs import TYPE_KEYS as TYPE_KEYS
from pytest_sergas.config.runs import Settings as Settings
from pytest_sergas.config.runs import TypeSettings as TypeSettings
from pytest_sergas.config.section import DEFAULT as DEFAULT
from pytest_sergas.config.section import Given, Reading, Section, read
from pytest_sergas.errors import ConfigurationError, gathered

Loaded = Reading[Settings]

# Name of the table → where its `Section` lives; the top level is the plugin's.
SECTIONS: dict[str, str] = {
    "": "pytest_sergas.config.runs:RUNS",
    "serve": "pytest_sergas.config.serve:SERVE",
    "groups": "pytest_sergas.config.groups:GROUPS",
    "collect": "pytest_sergas.config.collect:COLLECT",
    "checks": "pytest_sergas.config.checks:CHECKS",
    "rules": "pytest_sergas.config.rules:RULES",
    "channels": "pytest_sergas.config.channels:CHANNELS",
    "routes": "pytest_sergas.config.routes:ROUTES",
}


def load(root: Path, *, environ: Mapping[str, str], options: Given | None = None) -> Loaded:
    """Read the plugin's section of the configuration in ``root``.

    Args:
        root: the directory with ``pyproject.toml`` or ``sergas.toml``; neither needs to exist.
        environ: the environment variables.
        options: key → (what the user typed, value), for what the command line set.

    Raises:
        ConfigurationError: listing every fault in the file, the environment and the options.
    """
    readings = load_sections(read_file(root), ("",), environ=environ, options={"": options or {}})
    loaded: Loaded = readings[""]
    return loaded


def load_sections(
    file: ConfigFile,
    names: tuple[str, ...],
    *,
    environ: Mapping[str, str],
    options: Mapping[str, Given] | None = None,
) -> dict[str, Reading[Any]]:
    """Read several sections; return name → what it says.

    Args:
        names: of `SECTIONS`.
        options: name of the section → its options, as for `load`.

    Raises:
        ConfigurationError: listing every fault of all of them.
    """
    faults = list(file.faults)
    readings: dict[str, Reading[Any]] = {}
    for name in names:
        given = (options or {}).get(name, {})
        with gathered(faults):
            readings[name] = read(find(name), file, environ=environ, options=given, is_foreign=_is_foreign)
    if faults:
        raise ConfigurationError(tuple(faults))
    return readings


def find(name: str) -> Section[Any]:
    """Return the section with the ``name``."""
    from importlib import import_module

    module, _, attribute = SECTIONS[name].partition(":")
    section: Section[Any] = getattr(import_module(module), attribute)
    return section


def _is_foreign(written: str) -> bool:
    """Whether a name at the top level is that of a section, or a name that the specification gives to its key."""
    others = [name for name in SECTIONS if name]
    return written not in KEYS and (written in others or any(_stands_at_top(written, find(name)) for name in others))


def _stands_at_top(written: str, section: Section[Any]) -> bool:
    return written in section.names or (section.at_top and written in section.keys)
