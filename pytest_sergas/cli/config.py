"""``sergas config``: what is in force, and where each value came from."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_sergas.cli._options import add_config, add_json, as_json, config_file
from pytest_sergas.config import SECTIONS, Settings, TypeSettings, find, load_sections
from pytest_sergas.config.file import ConfigFile, find_file
from pytest_sergas.config.section import Reading
from pytest_sergas.config.toml import to_toml
from pytest_sergas.core.policy import Layer, Policy, Source, resolve
from pytest_sergas.core.records import TestType
from pytest_sergas.core.text import is_secret, redact_url

if TYPE_CHECKING:
    import pytest

HELP = "show the configuration that is in force, and where each value comes from"
EXAMPLES = """\
The values are those of a pytest that is started in this directory without
arguments: the options in its addopts, and the ini values of pytest-timeout and
pytest-rerunfailures, are taken into account. Secrets are not shown.

examples:
  sergas config
  sergas config --changed
  sergas config --json | jq .types.unit.policy
  PROMETHEUS_GATEWAY=http://127.0.0.1:9091 sergas config
"""

_WIDTH = 80
_NAME, _VALUE = 20, 25  # columns; what remains is as long as the longest source
_HIDDEN = "***"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--changed", action="store_true", help="show only what differs from the defaults")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    from pytest_sergas.cli._pytest import configured
    from pytest_sergas.plugin import options
    from pytest_sergas.plugin.engines import Engines

    config = configured()
    file = config_file(arguments) if getattr(arguments, "config", None) else find_file(config.rootpath)
    readings = load_sections(file, tuple(SECTIONS), environ=os.environ, options={"": options.given(config)})
    engines = Engines(config)
    policies = resolve_all(readings[""].settings, engines.command_line, engines.ini)
    notes = (*_off(config), *_elsewhere(file, config))
    shown = Shown(file, readings, policies, changed=arguments.changed)
    if as_json(arguments):
        document = shown.document()
        print(json.dumps({"root": str(file.root), "file": file.name or None, **document, "notes": notes}, indent=2))
    else:
        print(f"root directory: {file.root}")
        print(f"configuration:  {file.name or 'no file; sergas init writes one'}")
        print("\n".join(shown.lines()))
        for note in notes:
            print(f"\nNote: {note}")
    return 0


def resolve_all(settings: Settings, command_line: Layer, ini: Layer) -> dict[TestType, Policy]:
    """Return the policy of each enabled type, as a test without keywords of its own has it.

    Args:
        command_line, ini: what pytest's options and ini values say.
    """
    return {
        test_type: resolve(
            test_type,
            (command_line, (Source.TYPE_TABLE, table.values), (Source.GENERAL, settings.general), ini),
        )
        for test_type, table in settings.types.items()
        if table.enabled
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """What is in force, as it is shown.

    Attributes:
        policies: of the enabled types.
        changed: whether only what differs from the defaults is shown.
    """

    file: ConfigFile
    readings: Mapping[str, Reading[Any]]
    policies: Mapping[TestType, Policy]
    changed: bool = False

    def document(self) -> dict[str, Any]:
        """Return everything for `json.dumps`; a value that is not set is null."""
        sections = {
            name: {
                key: {"value": _public(key, self._value(name, key)), "source": self.readings[name].sources[key]}
                for key in self._keys(name)
            }
            for name in self.readings
        }
        types = {kind.value: _type_document(table, self.policies.get(kind)) for kind, table in self._types()}
        if self.changed:
            sections = {name: keys for name, keys in sections.items() if keys or not name}
        return {"settings": sections.pop(""), "sections": sections, "types": types}

    def lines(self) -> Iterator[str]:
        """Return the lines for a terminal: each key where one writes it, with its value and source, then each type."""
        at_top = [name for name in self.readings if not name or find(name).at_top]
        yield ""
        yield "settings"
        for name in at_top:
            yield from self._rows(name)
        for name in self.readings:
            rows = [] if name in at_top else list(self._rows(name))
            if rows:
                yield from ("", f"[{self._head(name)}]", *rows)
        for name in self.readings:
            for key in self._keys(name):
                if self._is_list(name, key):
                    yield from self._tables(name, key)
        types = list(self._types())
        if types:
            yield from ("", "types (a keyword of a test's own marker comes before all of this)")
        for test_type, table in types:
            yield from _type_lines(test_type, table, self.policies.get(test_type))

    def _rows(self, name: str) -> Iterator[str]:
        for key in self._keys(name):
            if not self._is_list(name, key):
                yield from _row(f"  {key}", _shown(key, self._value(name, key)), self.readings[name].sources[key])

    def _tables(self, name: str, key: str) -> Iterator[str]:
        """Return a list of tables as one writes it: each under a heading of its own."""
        source = self.readings[name].sources[key]
        for entry in self._value(name, key):
            yield from ("", f"[[{self._head(*find(name).path(key))}]]")
            for option, value in entry.items():
                yield from _row(f"  {option}", _shown(option, value), source)

    def _head(self, *path: str) -> str:
        return ".".join((*self.file.head, *path))

    def _is_list(self, name: str, key: str) -> bool:
        value = self._value(name, key)
        return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)

    def _keys(self, name: str) -> list[str]:
        # The types have a part of their own.
        keys = [key for key in find(name).keys if (name, key) != ("", "types")]
        return [key for key in keys if self._differs(name, key)] if self.changed else keys

    def _differs(self, name: str, key: str) -> bool:
        section = find(name)
        derived = section.derive(self.file)
        default = derived[key][1] if key in derived else getattr(section.settings(), key)
        return bool(getattr(self.readings[name].settings, key) != default)

    def _value(self, name: str, key: str) -> Any:
        return find(name).written(key, getattr(self.readings[name].settings, key))

    def _types(self) -> Iterator[tuple[TestType, TypeSettings]]:
        defaults = Settings().types
        for test_type, table in self.readings[""].settings.types.items():
            policy = self.policies.get(test_type)
            choices = policy.choices.values() if policy is not None else ()
            is_given = any(choice.source is not Source.BUILT_IN for choice in choices)
            if not self.changed or is_given or table != defaults[test_type]:
                yield test_type, table


def _type_document(table: TypeSettings, policy: Policy | None) -> dict[str, Any]:
    if policy is None:
        return {"enabled": False}
    choices = {
        name: {"value": _public(name, choice.value), "source": choice.source.value}
        for name, choice in policy.choices.items()
    }
    return {"enabled": True, "marker": table.marker, "paths": list(table.paths), "gate": table.gate, "policy": choices}


def _type_lines(test_type: TestType, table: TypeSettings, policy: Policy | None) -> Iterator[str]:
    if policy is None:
        yield f"  {test_type.value:<15} disabled"
        return
    about = [f"@pytest.mark.{table.marker}", *(f"path {path}" for path in table.paths)]
    about += ["gate"] if table.gate else []
    given = {name: choice for name, choice in policy.choices.items() if choice.source is not Source.BUILT_IN}
    built_in = [f"{name} {_shown(name, choice.value)}" for name, choice in policy.choices.items() if name not in given]
    yield from _wrapped(f"  {test_type.value:<15} ", ", ".join(about))
    for name, choice in given.items():
        yield from _row(f"    {name}", _shown(name, choice.value), choice.source.value)
    if built_in:
        yield from _wrapped("    built-in      ", ", ".join(built_in))


def _row(name: str, value: str, source: str) -> Iterator[str]:
    """One line where 80 columns are enough; a value that is too long has its source on the next one."""
    line = f"{name:<{_NAME}} {value:<{_VALUE}} {source}"
    if len(value) <= _VALUE:
        yield line
    else:
        yield f"{name:<{_NAME}} {value}"
        yield f"{'':<{_NAME + _VALUE + 1}} {source}"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * 18, break_long_words=False, break_on_hyphens=False
    )


def _public(key: str, value: object) -> object:
    """Return ``value`` as JSON knows it, without what may be a secret; None when it is not set."""
    if value is None or value == "":
        return None
    if is_secret(key):
        return _HIDDEN
    if key == "headers" and isinstance(value, Mapping):
        # Which of them are secrets, their names do not say: X-Auth, X-Shop.
        return dict.fromkeys(map(str, value), _HIDDEN)
    if isinstance(value, Mapping):
        return {str(name): _public(str(name), entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_public(key, entry) for entry in value]
    return redact_url(value) if isinstance(value, str) else value


def _shown(key: str, value: object) -> str:
    public = _public(key, value)
    return "(not set)" if public is None else to_toml(public)


def _elsewhere(file: ConfigFile, config: pytest.Config) -> Iterator[str]:
    """Say when a pytest that is started here reads another file than the one that is shown."""
    read = find_file(config.rootpath)
    if file.name and (read.root.resolve(), read.name) != (file.root.resolve(), file.name):
        there = f"reads {read.root / read.name}" if read.name else "finds no file"
        yield (
            f"a pytest that is started here has the root directory {config.rootpath}, and {there}; start it in "
            f"{file.root}, or give that directory a pytest.ini"
        )


def _off(config: pytest.Config) -> Iterator[str]:
    """Say what keeps the configuration from having any effect here."""
    if not config.pluginmanager.hasplugin("sergas"):
        yield "pytest does not load the plugin here: a -p option, or PYTEST_DISABLE_PLUGIN_AUTOLOAD"
    elif config.getoption("--no-sergas"):
        yield "--no-sergas in addopts switches the plugin off"
    for plugin, name, what in (
        ("timeout", "pytest-timeout", "timeouts"),
        ("rerunfailures", "pytest-rerunfailures", "retries"),
    ):
        if not config.pluginmanager.hasplugin(plugin):
            yield f"{name} is not loaded here: {what} have no effect"
