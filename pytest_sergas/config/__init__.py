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

`SECTIONS` says where each section lives. A part that has settings of its own adds a line there. Whoever reads the
configuration judges the whole of it: names, types and references of all sections; what only the user of a section can
know, such as whether a file is there, is asked of the sections that are used. A section that nobody wrote anything
about, and that is not used, is not even imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pytest_sergas.config.file import PYPROJECT as PYPROJECT
from pytest_sergas.config.file import SERGAS_TOML as SERGAS_TOML
from pytest_sergas.config.file import ConfigFile, find_file
from pytest_sergas.config.runs import KEYS as KEYS
from pytest_sergas.config.runs import TYPE_KEYS as TYPE_KEYS
from pytest_sergas.config.runs import Settings as Settings
from pytest_sergas.config.runs import TypeSettings as TypeSettings
from pytest_sergas.config.section import DEFAULT as DEFAULT
from pytest_sergas.config.section import Given, Reading, Section, Top, Use, read
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.errors import ConfigurationError, gathered

if TYPE_CHECKING:
    from pytest_sergas.config.program import Program

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


# Names at the top level that belong to a section, where these are more than the name of its table.
TOP: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "serve": ("serve",),
        "groups": ("groups",),
        "collect": ("collect", "monitoring_interval", "metrics_retention"),
        "checks": ("health_check_timeout", "health_check_interval", "checks"),
        "rules": ("rules",),
        "channels": (
            *("max_alerts_per_minute", "channels", "slack_webhook_url", "alert_webhook_url"),
            *("smtp", "smtp_host", "smtp_port", "smtp_username", "smtp_password", "smtp_from", "smtp_to"),
        ),
        "routes": ("alert_cooldown", "routes", "maintenance"),
    }
)
# Channels that a variable makes; where the sidecar does not run, nobody knows whether it is set.
_BY_VARIABLE = ("slack", "webhook", "email")


@dataclass(frozen=True, slots=True)
class Judged:
    """What is judged beside names and types.

    Attributes:
        files: whether the paths that the used sections name are there.
        channels: whether the channels that routes name are there; not where some are added later.
    """

    files: bool = True
    channels: bool = True


EVERYTHING = Judged()


def load(
    root: Path, *, environ: Mapping[str, str], options: Given | None = None, program: Program | None = None
) -> Loaded:
    """Read the plugin's section of the configuration in ``root`` or above it, and judge the rest.

    Args:
        root: where ``pyproject.toml`` or ``sergas.toml`` is looked for, and from where upwards; neither needs to exist.
        environ: the environment variables.
        options: key → (what the user typed, value), for what the command line set.
        program: what the program says that started pytest.

    Raises:
        ConfigurationError: listing every fault in the file, the environment and the options.
    """
    found = find_file(root)
    file = found if program is None else program.over(found)
    readings = load_sections(file, ("",), environ=environ, options={"": options or {}})
    loaded: Loaded = readings[""]
    return loaded


def load_sections(
    file: ConfigFile,
    names: tuple[str, ...],
    *,
    environ: Mapping[str, str],
    options: Mapping[str, Given] | None = None,
    judged: Judged = EVERYTHING,
) -> dict[str, Reading[Any]]:
    """Read several sections, and judge the others by what is written; return name → what it says.

    Args:
        names: of `SECTIONS`: those that are used here, which the environment and the options may change.
        options: name of the section → its options, as for `load`.
        judged: what is not judged although it is written.

    Raises:
        ConfigurationError: listing every fault of the whole configuration.
    """
    faults = list(file.faults)
    readings: dict[str, Reading[Any]] = {}
    top = Top(_owners(), _belongs)
    for name in SECTIONS:
        is_used = name in names
        if not is_used and name and not any(top.owners.get(written) == name for written in file.table):
            continue
        use = Use(environ, (options or {}).get(name, {}), judged.files) if is_used else None
        with gathered(faults):
            readings[name] = read(find(name), file, top, use)
    with gathered(faults):
        _judge_references(readings, names, judged)
    if faults:
        raise ConfigurationError(tuple(faults))
    return {name: readings[name] for name in names}


def find(name: str) -> Section[Any]:
    """Return the section with the ``name``."""
    from importlib import import_module

    module, _, attribute = SECTIONS[name].partition(":")
    section: Section[Any] = getattr(import_module(module), attribute)
    return section


def top_names(name: str) -> tuple[str, ...]:
    """Return what belongs to the section ``name`` at the top level of the file."""
    if not name or name not in TOP:
        section = find(name)
        return (*section.names, *(section.keys if section.at_top or not name else (name,)))
    return TOP[name]


def _owners() -> dict[str, str]:
    """Return name at the top level → its section."""
    owners: dict[str, str] = {}
    for name in SECTIONS:
        for written in top_names(name):
            owners.setdefault(written, name)
    return owners


def _belongs(written: str) -> str:
    """Return which table a name is a key of that stands at the top level, or ""."""
    tables = [name for name in SECTIONS if name and not find(name).at_top and written in find(name).keys]
    return f"it belongs to a table: {' or '.join(f'[{name}] {written}' for name in tables)}" if tables else ""


def _judge_references(readings: Mapping[str, Reading[Any]], names: tuple[str, ...], judged: Judged) -> None:
    """Judge what one section says about another.

    Raises:
        ConfigurationError: something is named that is not there.
    """
    faults: list[str] = []
    if (checks := readings.get("checks")) is not None and any(entry.depends_on for entry in checks.settings.checks):
        from pytest_sergas.core.health import dependency_faults

        faults += dependency_faults({entry.name: entry.depends_on for entry in checks.settings.checks})
    channels = readings.get("channels")
    if (routes := readings.get("routes")) is not None and routes.settings.routes and judged.channels:
        from pytest_sergas.config.routes import routing

        known = tuple(entry.name for entry in channels.settings.channels) if channels is not None else ()
        with gathered(faults):
            routing(
                routes.settings,
                known if "channels" in names else tuple({**dict.fromkeys(known), **dict.fromkeys(_BY_VARIABLE)}),
            )
    if faults:
        raise ConfigurationError(tuple(faults))
