"""The configuration: one schema, read from ``pyproject.toml`` or ``sergas.toml`` into frozen dataclasses.

    [tool.sergas]                      # in pyproject.toml; in sergas.toml the keys stand at the top level
    push = "http://gateway:9091"

    [tool.sergas.types.integration]
    paths = ["tests/integration"]
    timeout = 60

A key is asked for in this order: command line, environment, file, default; `Loaded.sources` says which
of them decided. Reading finds *all* faults and raises them as one `ConfigurationError`.

`SPECIFICATION_KEYS` and `ENVIRONMENT` are the other names under which a key is known; a new section adds
its keys to `KEYS` and, where it has any, its other names to these two tables.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.core.policy import KEYWORDS
from pytest_sergas.core.records import TestType
from pytest_sergas.core.text import show_value
from pytest_sergas.errors import ConfigurationError

PYPROJECT = "pyproject.toml"
SERGAS_TOML = "sergas.toml"
DEFAULT = "default"

_LABEL = kinds.pattern(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", "label names of letters, digits and _, not starting with __")
_MARKER = kinds.pattern(r"[a-zA-Z_]\w*", "a marker name of letters, digits and _")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of ``[tool.sergas]``: its kind, what it means, and an example for the starter file."""

    kind: kinds.Kind
    help: str
    example: str


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "project": Key(kinds.text, "the job under which runs are pushed; default: the project's name", '"shop"'),
        "timeout": Key(KEYWORDS["timeout"].kind, "for every type: " + KEYWORDS["timeout"].help, "300"),
        "retries": Key(KEYWORDS["retries"].kind, "for every type: " + KEYWORDS["retries"].help, "0"),
        "retry_delay": Key(KEYWORDS["retry_delay"].kind, "for every type: " + KEYWORDS["retry_delay"].help, "0"),
        "retry_on": Key(
            KEYWORDS["retry_on"].kind, "for every type: " + KEYWORDS["retry_on"].help, '["ConnectionError"]'
        ),
        "max_workers": Key(kinds.whole(1, 10_000, "workers"), "the most workers that -n auto starts", "8"),
        "strict": Key(kinds.boolean, "a test without a type is an error", "false"),
        "ctrf": Key(kinds.text, "write the run to this CTRF file", '"build/run.ctrf.json"'),
        "markdown": Key(kinds.text, "write a summary for people to this file", '"build/run.md"'),
        "textfile": Key(kinds.text, "write the metrics for node_exporter to this file", '"build/sergas.prom"'),
        "push": Key(kinds.text, "push the metrics to this Pushgateway", '"http://127.0.0.1:9091"'),
        "push_labels": Key(
            kinds.table_of_texts(_LABEL),
            "labels added to the grouping key; {branch}, {job} and {provider} are filled in",
            '{branch = "{branch}"}',
        ),
        "push_username": Key(kinds.text, "user name for the Pushgateway", '"ci"'),
        "push_password_file": Key(kinds.text, "file that holds the password", '"/run/secrets/push-password"'),
        "push_token_file": Key(kinds.text, "file that holds the bearer token", '"/run/secrets/push-token"'),
        "publish_deadline": Key(
            kinds.number(0, 3600, "seconds", open_below=True), "seconds that all publishers have together", "5"
        ),
        "slowest": Key(kinds.whole(0, 100, "tests"), "how many of the slowest tests are named for each type", "3"),
    }
)

TYPE_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "marker": Key(_MARKER, "the name of this type's marker in your suite", '"api"'),
        **{name: Key(keyword.kind, keyword.help, "") for name, keyword in KEYWORDS.items()},
    }
)

# The specification's names for the same keys; they may be written in the file as well.
SPECIFICATION_KEYS: Mapping[str, str] = MappingProxyType(
    {"test_timeout": "timeout", "test_retry_count": "retries", "max_test_workers": "max_workers"}
)
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"PROMETHEUS_GATEWAY": "push"})


@dataclass(frozen=True, slots=True)
class TypeSettings:
    """What ``[tool.sergas.types.NAME]`` says; `values` holds only the keywords that are written there."""

    enabled: bool = True
    marker: str = ""
    paths: tuple[str, ...] = ()
    gate: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """``[tool.sergas]`` in force; None and "" stand for "not set"."""

    project: str = "tests"
    timeout: float | None = None
    retries: int | None = None
    retry_delay: float | None = None
    retry_on: tuple[str, ...] | None = None
    max_workers: int | None = None
    strict: bool = False
    ctrf: str = ""
    markdown: str = ""
    textfile: str = ""
    push: str = ""
    push_labels: Mapping[str, str] = field(default_factory=dict)
    push_username: str = ""
    push_password_file: str = ""
    push_token_file: str = ""
    publish_deadline: float = 5.0
    slowest: int = 3
    types: Mapping[TestType, TypeSettings] = field(
        default_factory=lambda: {test_type: TypeSettings(marker=test_type.value) for test_type in TestType}
    )


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, the place that each of them came from, and the directory that paths are relative to."""

    settings: Settings
    sources: Mapping[str, str]
    root: Path


def load(root: Path, *, environ: Mapping[str, str], options: Mapping[str, tuple[str, Any]] | None = None) -> Loaded:
    """Read the configuration that applies in ``root``.

    Args:
        root: the directory with ``pyproject.toml`` or ``sergas.toml``; neither needs to exist.
        environ: the environment variables.
        options: key → (what the user typed, value), for what the command line set.

    Raises:
        ConfigurationError: listing every fault in the file, the environment and the options.
    """
    faults: list[str] = []
    file, table, project = _read_file(root, faults)
    reader = _Reader(root, faults)
    values: dict[str, Any] = {"project": project or root.resolve().name or "tests"}
    sources: dict[str, str] = {"project": PYPROJECT if project else "name of the directory"}

    prefix = "[tool.sergas] " if file == PYPROJECT else ""
    types = reader.types(table.pop("types", {}), f"{file}: {prefix}", file)
    for written, raw in table.items():
        name = SPECIFICATION_KEYS.get(written, written)
        if name != written and name in table:
            faults.append(f"{file}: {prefix}{written}: says the same as {name!r}; remove one of them")
        elif reader.accept(values, name, raw, f"{file}: {prefix}{written}"):
            sources[name] = file if name == written else f"{file} ({written})"
    for variable, name in ENVIRONMENT.items():
        raw = environ.get(variable)
        if raw and reader.accept(values, name, raw, f"environment: {variable}"):
            sources[name] = f"environment {variable}"
    for name, (typed, raw) in (options or {}).items():
        if reader.accept(values, name, raw, f"command line: {typed}"):
            sources[name] = f"command line {typed}"
    reader.labels(values.get("push_labels", {}), f"{file}: {prefix}push_labels")
    if faults:
        raise ConfigurationError(tuple(faults))
    return Loaded(Settings(types=types, **values), {**dict.fromkeys(KEYS, DEFAULT), **sources}, root)


def _read_file(root: Path, faults: list[str]) -> tuple[str, dict[str, Any], str]:
    """Return the file that configures us, its table, and the project's name from ``pyproject.toml``."""
    pyproject = _parse(root / PYPROJECT, faults)
    own = _parse(root / SERGAS_TOML, faults)
    tool = pyproject.get("tool", {})
    table = tool.get("sergas") if isinstance(tool, dict) else None
    metadata = pyproject.get("project", {})
    project = metadata.get("name", "") if isinstance(metadata, dict) else ""
    if table is not None and (root / SERGAS_TOML).exists():
        faults.append(f"{SERGAS_TOML}: [tool.sergas] in {PYPROJECT} configures the same; keep one of the two")
    if table is not None and not isinstance(table, dict):
        faults.append(f"{PYPROJECT}: [tool] sergas = {show_value('sergas', table)}: allowed: a table")
        table = {}
    name = project if isinstance(project, str) else ""
    return (PYPROJECT, dict(table), name) if table is not None else (SERGAS_TOML, own, name)


def _parse(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        faults.append(f"{path.name}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        faults.append(f"{path.name}: not UTF-8 at byte {error.start}; save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path.name}: not TOML: {error}")
    return {}


class _Reader:
    """Reads raw values by their kind and collects the faults."""

    def __init__(self, root: Path, faults: list[str]) -> None:
        self.root = root
        self.faults = faults

    def accept(self, values: dict[str, Any], name: str, raw: object, where: str) -> bool:
        key = KEYS.get(name)
        if key is None:
            self._unknown(where, name, raw, (*KEYS, *SPECIFICATION_KEYS, "types"))
            return False
        return self._read(values, name, key, raw, f"{where} = {show_value(name, raw)}")

    def labels(self, labels: Mapping[str, str], where: str) -> None:
        for name in {"job", "type"} & labels.keys():
            self.faults.append(f"{where}: {name!r} is ours; the job is the project, the type is the test's")
        for name, text in labels.items():
            try:
                text.format(branch="", job="", provider="")
            except (KeyError, IndexError, ValueError, AttributeError):
                self.faults.append(f"{where}.{name} = {text!r}: allowed in braces: {{branch}}, {{job}}, {{provider}}")

    def types(self, raw: object, where: str, file: str) -> dict[TestType, TypeSettings]:
        found = {test_type: TypeSettings(marker=test_type.value) for test_type in TestType}
        if not isinstance(raw, dict):
            self.faults.append(f"{where}types = {show_value('types', raw)}: allowed: a table of types")
            return found
        head = "tool.sergas.types" if file == PYPROJECT else "types"
        for name, table in raw.items():
            if name not in list(TestType):
                self._unknown(f"{file}: [{head}] {name}", name, table, [*TestType])
            elif table is False:
                found[TestType(name)] = TypeSettings(enabled=False, marker=name)
            elif isinstance(table, dict):
                found[TestType(name)] = self._type(name, table, f"{file}: [{head}.{name}]")
            else:
                where = f"{file}: [{head}] {name} = {show_value(name, table)}"
                self.faults.append(f"{where}: allowed: a table, or false to disable the type")
        self._unique(found, f"{file}: [{head}]")
        return found

    def _type(self, name: str, table: Mapping[str, object], where: str) -> TypeSettings:
        values: dict[str, Any] = {}
        for written, raw in table.items():
            key = TYPE_KEYS.get(written)
            if key is None:
                self._unknown(f"{where} {written}", written, raw, TYPE_KEYS)
            else:
                self._read(values, written, key, raw, f"{where} {written} = {show_value(written, raw)}")
        if values.get("parallel") is False and values.get("max_workers", 1) != 1:
            self.faults.append(f"{where}: parallel = false is max_workers = 1; remove one of them")
        paths = values.pop("paths", ())
        for path in paths:
            if not (self.root / path).exists():
                self.faults.append(f"{where} paths: {path!r} does not exist below {self.root.name}/{self._near(path)}")
        marker, gate = values.pop("marker", name), values.pop("gate", False)
        return TypeSettings(marker=marker, paths=paths, gate=gate, values=values)

    def _near(self, path: str) -> str:
        parent = (self.root / path).parent
        siblings = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
        near = kinds.nearest(Path(path).name, siblings)
        return f"; did you mean {(Path(path).parent / near).as_posix()!r}?" if near else ""

    def _unique(self, types: Mapping[TestType, TypeSettings], where: str) -> None:
        seen: dict[str, str] = {}
        for kind, attribute in (("marker", lambda one: (one.marker,)), ("path", lambda one: one.paths)):
            for test_type, settings in types.items():
                for value in attribute(settings) if settings.enabled else ():
                    other = seen.setdefault(f"{kind} {value}", test_type.value)
                    if other != test_type.value:
                        self.faults.append(f"{where}: {kind} {value!r} is given to {other!r} and {test_type.value!r}")

    def _read(self, values: dict[str, Any], name: str, key: Key, raw: object, where: str) -> bool:
        try:
            values[name] = key.kind(raw)
        except kinds.NotAllowed as wrong:
            self.faults.append(f"{where}: {wrong}")
            return False
        return True

    def _unknown(self, where: str, name: str, raw: object, known: Any) -> None:
        near = kinds.nearest(name, known)
        hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(known)}"
        self.faults.append(f"{where} = {show_value(name, raw)}: unknown key; {hint}")
