"""What a section of the configuration is, and the one reader for all of them.

A section is data: the keys of one table, the dataclass that they fill, and the other names under which
a key is known (the specification's at the top level of the file, environment variables). Asked for a key
are, in this order: command line, environment, file, default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pytest_sergas.config.file import ConfigFile
from pytest_sergas.core import kinds
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.text import one_line, show_value
from pytest_sergas.errors import ConfigurationError

DEFAULT = "default"

T = TypeVar("T")
Given = Mapping[str, tuple[str, Any]]


def _nothing(file: ConfigFile) -> Given:
    del file
    return {}


def _no_check(values: Mapping[str, Any]) -> Iterable[kinds.Wrong]:
    del values
    return ()


def _no_look(values: Mapping[str, Any], root: Path) -> Iterable[kinds.Wrong]:
    del values, root
    return ()


def _nowhere(path: tuple[str, ...]) -> str:
    del path
    return ""


def _as_it_is(key: str, value: Any) -> object:
    del key
    return value


class Key(NamedTuple):
    """A key of a section: its kind, what it means, and an example in TOML (the default where there is one)."""

    kind: kinds.Kind
    help: str
    example: str


@dataclass(frozen=True, slots=True)
class Section(Generic[T]):
    """One table of the configuration.

    Attributes:
        name: the table's name; "" for the keys at the top level.
        settings: builds the settings from the values that somebody gave; a frozen dataclass.
        names: the specification's name of a key, which stands at the top level of the file → key.
        environment: variable → key.
        derive: key → (where from, value) for defaults that follow from what surrounds the file.
        check: what only shows when values meet.
        look: what only shows beside the root directory; asked where the section is used, because a file that the
            tests need is not there where the sidecar runs.
        written: key, value → the value as one writes it in the file.
        belongs: what to say about a key that is unknown where it stands but right elsewhere, or "".
        at_top: whether the keys stand at the top level of the file, beside the plugin's.
    """

    name: str
    keys: Mapping[str, Key]
    settings: Callable[..., T]
    names: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    derive: Callable[[ConfigFile], Given] = _nothing
    check: Callable[[Mapping[str, Any]], Iterable[kinds.Wrong]] = _no_check
    look: Callable[[Mapping[str, Any], Path], Iterable[kinds.Wrong]] = _no_look
    belongs: Callable[[tuple[str, ...]], str] = _nowhere
    written: Callable[[str, Any], object] = _as_it_is
    at_top: bool = False

    @property
    def table(self) -> str:
        """The table in which the keys stand, or "" for the top level."""
        return "" if self.at_top else self.name

    def path(self, key: str) -> tuple[str, ...]:
        """Return the keys that lead to ``key`` from the top of the configuration."""
        return (self.table, key) if self.table else (key,)


@dataclass(frozen=True, slots=True)
class Top:
    """What may stand at the top level of the file.

    Attributes:
        owners: name → the section that it belongs to.
        belongs: what to say about a key that is unknown there but right in a table, or "".
    """

    owners: Mapping[str, str]
    belongs: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The settings in force, the place that each of them came from, and the directory that paths are relative to."""

    settings: T
    sources: Mapping[str, str]
    root: Path

    def place(self, written: str) -> str:
        """Return where a path of the configuration leads; "" where none is written."""
        return str(self.root / written) if written else ""


@dataclass(frozen=True, slots=True)
class Use:
    """What a section is used with.

    Attributes:
        environ: the environment variables.
        options: key → (what the user typed, value), for what the command line set.
        looks: whether what is beside the file counts.
    """

    environ: Mapping[str, str]
    options: Given
    looks: bool = True


def read(section: Section[T], file: ConfigFile, top: Top, use: Use | None) -> Reading[T]:
    """Read one section.

    Args:
        top: what may stand at the top level.
        use: None for a section that is not used here: it is judged by what is written, and by nothing beside.

    Raises:
        ConfigurationError: with every fault in the section's part of the file, the environment and the options.
    """
    values = _Values(section, file, top)
    values.derive()
    for written, raw in values.in_file():
        values.accept_written(written, raw)
    if use is not None:
        for variable, name in section.environment.items():
            # An empty variable is how a pipeline says "not set".
            if (raw := use.environ.get(variable)) and raw.strip():
                values.accept_text(name, raw, f"environment: {variable}")
        for name, (typed, given) in use.options.items():
            values.accept(name, given, f"command line: {typed}", shown=given)
        for wrong in section.look(values.values, file.root) if use.looks else ():
            values.fault_at(wrong)
    # Of values some of which cannot be used nobody knows how they would go together.
    for wrong in section.check(values.values) if not values.faults else ():
        values.fault_at(wrong)
    if values.faults:
        raise ConfigurationError(tuple(values.faults))
    sources = {**dict.fromkeys(section.keys, DEFAULT), **values.sources}
    return Reading(section.settings(**values.values), sources, file.root)


class _Values(Generic[T]):
    """The values found so far, where they came from, and the faults."""

    def __init__(self, section: Section[T], file: ConfigFile, top: Top) -> None:
        self._section = section
        self._file = file
        self._top = top
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.faults: list[str] = []

    def derive(self) -> None:
        for name, (source, value) in self._section.derive(self._file).items():
            self.values[name] = value
            self.sources[name] = source

    def in_file(self) -> Iterable[tuple[str, object]]:
        """Return the keys of this section as they are written, with their values."""
        top, section = self._file.table, self._section
        if not section.name:
            return [(written, raw) for written, raw in top.items() if not self._top.owners.get(written)]
        if section.at_top:
            return [(written, raw) for written, raw in top.items() if written in {*section.keys, *section.names}]
        if not isinstance(table := top.get(section.name, {}), dict):
            self._fault((section.name,), table, "allowed: a table")
        return [*self._own_table().items(), *((name, top[name]) for name in section.names if name in top)]

    def _own_table(self) -> Mapping[str, object]:
        table = self._file.table.get(self._section.table, {}) if self._section.table else self._file.table
        return table if isinstance(table, dict) else {}

    def accept_written(self, written: str, raw: object) -> None:
        """Take what the file says under ``written``."""
        names = self._section.names
        # In a section of its own, the specification's name stands at the top level.
        alias = written in names and written not in self._section.keys
        name = names[written] if alias else written
        path = (written,) if alias else self._section.path(written)
        if name not in self._section.keys:
            self._fault(path, raw, self._unknown(path))
        elif alias and name in self._own_table():
            other = ".".join(self._section.path(name))
            self._fault(path, raw, f"says the same as {other!r}; remove one of the two")
        else:
            source = f"{self._file.name} ({written})" if alias else self._file.name
            self._accept_in_file(name, path, raw, source)

    def accept_text(self, name: str, raw: str, source: str) -> None:
        """Take a variable's text: as it is, or as the number or truth value that it spells."""
        try:
            value = self._section.keys[name].kind(raw)
        except kinds.NotAllowed:
            self.accept(name, _literal(raw), source, shown=raw)
        else:
            self._set(name, value, source)

    def accept(self, name: str, raw: object, source: str, *, shown: object) -> None:
        """Take a value from a place that is not the file; a fault shows it as it was typed."""
        try:
            self._set(name, self._section.keys[name].kind(raw), source)
        except kinds.NotAllowed as wrong:
            self.faults.append(f"{source} = {show_value(name, shown)}: {wrong}")

    def fault_at(self, wrong: kinds.Wrong) -> None:
        name = wrong.path[0]
        if (source := self.sources.get(name, "")).startswith("environment: "):
            self.faults.append(f"{source} = {show_value(name, wrong.value)}: {wrong.text}")
        else:
            self._fault((*self._section.path(name), *wrong.path[1:]), wrong.value, wrong.text)

    def _unknown(self, path: tuple[str, ...]) -> str:
        if self._section.name:
            return unknown(path, self._section)
        if where := self._top.belongs(path[0]):
            return f"unknown key; {where}"
        return unknown(path, self._section, self._top.owners)

    def _accept_in_file(self, name: str, path: tuple[str, ...], raw: object, source: str) -> None:
        try:
            self._set(name, self._section.keys[name].kind(raw), source)
        except kinds.WrongInside as inside:
            for wrong in inside.wrong:
                self._fault((*path, *wrong.path), wrong.value, wrong.text)
            self._set(name, inside.usable, source)
        except kinds.NotAllowed as wrong_value:
            self._fault(path, raw, str(wrong_value))

    def _set(self, name: str, value: object, source: str) -> None:
        self.values[name] = value
        self.sources[name] = source

    def _fault(self, path: tuple[str, ...], raw: object, text: str) -> None:
        self.faults.append(f"{self._file.place(path)} = {_show(path[-1], raw, text)}: {text}")


def unknown(path: tuple[str, ...], section: Section[Any], known: Iterable[str] | None = None) -> str:
    """Return what to say about the unknown key at ``path``: where it belongs, the nearest one, or all.

    Args:
        known: the keys that are allowed there; those of ``section`` unless given.
    """
    allowed = tuple(map(str, known)) if known is not None else (*section.keys, *section.names)
    if near := kinds.nearest(path[-1], allowed):
        return f"unknown key; did you mean {near!r}?"
    if where := section.belongs(path):
        return f"unknown key; {where}"
    return f"unknown key; allowed: {', '.join(allowed)}"


def _show(key: str, raw: object, text: str) -> str:
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, dict):
        # Of a table in the wrong place only the keys: any of its values may be a secret.
        return one_line(f"{{{', '.join(f'{name} = ...' for name in raw)}}}", 80)
    if isinstance(raw, list) and any(isinstance(entry, dict) for entry in raw):
        return one_line(f"[{', '.join(_show(key, entry, text) for entry in raw)}]", 80)
    # What the name of a known key says about its value, nobody says about an unknown one: a misspelt password.
    if text.startswith("unknown key") and _sounds_secret(key):
        return "'***'"
    return show_value(key, raw)


def _sounds_secret(key: str) -> bool:
    words = (
        "password",
        "pass",
        "passphrase",
        "pwd",
        "token",
        "secret",
        "credential",
        "bearer",
        "webhook",
        "key",
        "auth",
    )
    return any(kinds.nearest(part, words, cutoff=0.85) for part in key.replace("-", "_").split("_"))


def _literal(raw: str) -> object:
    """Return the number or truth value that a variable's text spells, or the text itself."""
    if raw.lower() in {"true", "false"}:
        return raw.lower() == "true"
    for number in (int, float):
        try:
            return number(raw)
        except ValueError:
            continue
    return raw
