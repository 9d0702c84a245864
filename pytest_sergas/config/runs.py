"""The section of the plugin: the keys at the top level, and a table for each type of test."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_sergas.config.file import PYPROJECT, ConfigFile
from pytest_sergas.config.section import Given, Key, Section, unknown
from pytest_sergas.core import address, kinds
from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.policy import KEYWORDS
from pytest_sergas.core.records import TestType

# Markers of pytest and of the plugins that come with us: with one of these names a type would take theirs over.
TAKEN_MARKERS = frozenset(
    {"asyncio", "filterwarnings", "flaky", "no_cover", "parametrize", "skip", "skipif", "timeout", "tryfirst"}
    | {"trylast", "usefixtures", "xdist_group", "xfail"}
)
# Labels that the metrics have of their own; a grouping label of that name would overwrite them.
TAKEN_LABELS = frozenset({"job", "le", "outcome", "test", "type"})

_LABEL = r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*"
_BRACES = ("branch", "job", "provider")


@dataclass(frozen=True, slots=True)
class TypeSettings:
    """What ``[tool.sergas.types.NAME]`` says; `values` holds only the keywords that are written there."""

    enabled: bool = True
    marker: str = ""
    paths: tuple[str, ...] = ()
    gate: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def least_coverage(self) -> float | None:
        """Percent that its tests have to cover; None for any."""
        least: float | None = self.values.get("min_coverage")
        return least

    @property
    def flaky_allowed(self) -> int | None:
        """How many of its tests may be flaky before the run fails; None for any number."""
        allowed: int | None = self.values.get("max_flaky")
        return 0 if self.values.get("fail_on_flaky") else allowed


def _all_types() -> dict[TestType, TypeSettings]:
    return {test_type: TypeSettings(marker=test_type.value) for test_type in TestType}


@dataclass(frozen=True, slots=True)
class Settings:
    """``[tool.sergas]`` in force; None and "" stand for "not set"."""

    project: str = "tests"
    timeout: float | None = None
    retries: int | None = None
    retry_delay: float | None = None
    retry_on: tuple[str, ...] | None = None
    max_retries: int | None = None
    max_workers: int | None = None
    exclusive_wait: float = 300.0
    watchdog: float = 600.0
    durations: str = ""
    history: str = ""
    strict: bool = False
    measure: bool = True
    measure_children: bool = False
    ctrf: str = ""
    markdown: str = ""
    textfile: str = ""
    sidecar: str = ""
    push: str = ""
    push_labels: Mapping[str, str] = field(default_factory=dict)
    push_username: str = ""
    push_password_file: str = ""
    push_token_file: str = ""
    publish_deadline: float = 5.0
    slowest: int = 3
    types: Mapping[TestType, TypeSettings] = field(default_factory=_all_types)

    @property
    def general(self) -> Mapping[str, Any]:
        """The settings of a policy that are given for every type."""
        names = ("timeout", "retries", "retry_delay", "retry_on")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def _marker(value: object) -> str:
    if not isinstance(value, str) or not value.isidentifier() or value.startswith("_") or keyword.iskeyword(value):
        raise kinds.NotAllowed("allowed: a marker's name, of letters, digits and _, as in @pytest.mark.NAME")
    if value in TAKEN_MARKERS:
        raise kinds.NotAllowed("is a marker of pytest or of a plugin that comes with us; choose another name")
    return value


def _labels(raw: object) -> Mapping[str, str]:
    if not isinstance(raw, dict):
        raise kinds.NotAllowed('allowed: a table, such as {branch = "{branch}"}')
    usable, wrong = {}, []
    for name, value in raw.items():
        try:
            usable[name] = _label(name, value)
        except kinds.NotAllowed as reason:
            wrong.append(kinds.Wrong((name,), value, str(reason)))
    if wrong:
        raise kinds.WrongInside(tuple(wrong), usable)
    return usable


def _label(name: str, value: object) -> str:
    if name in TAKEN_LABELS:
        raise kinds.NotAllowed(f"{name!r} is a label of the metrics themselves; choose another name")
    if not re.fullmatch(_LABEL, name):
        raise kinds.NotAllowed("allowed: label names of letters a to z, digits and _, not starting with a digit or __")
    text = kinds.text(value)
    if not _can_be_filled(text):
        raise kinds.NotAllowed("allowed in braces: {branch}, {job}, {provider}; {{ and }} for the braces themselves")
    return text


def _can_be_filled(text: str) -> bool:
    # Not by filling it in: a format such as {branch:>9999999999} would take all memory.
    from string import Formatter

    try:
        fields = [found[1:] for found in Formatter().parse(text) if found[1] is not None]
    except ValueError:
        return False
    return all(name in _BRACES and not layout and conversion is None for name, layout, conversion in fields)


TYPE_KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "marker": Key(_marker, "the name of this type's marker in your suite; default: the type's own", '"api"'),
        **{name: Key(setting.kind, setting.help, setting.example) for name, setting in KEYWORDS.items()},
    }
)


def _types(raw: object) -> Mapping[TestType, TypeSettings]:
    if not isinstance(raw, dict):
        raise kinds.NotAllowed("allowed: a table with a table for each type, such as types.unit")
    found = _all_types()
    wrong: list[kinds.Wrong] = []
    for name, table in raw.items():
        if name not in list(TestType):
            wrong.append(kinds.Wrong((name,), table, unknown(("types", name), RUNS, TestType)))
        elif table is False:
            found[TestType(name)] = TypeSettings(enabled=False, marker=name)
        elif isinstance(table, dict):
            found[TestType(name)] = _type(name, table, wrong)
        else:
            wrong.append(kinds.Wrong((name,), table, "allowed: a table, or false to disable the type"))
    wrong.extend(_markers_given_twice(found))
    wrong.extend(_paths_given_twice(found))
    if wrong:
        raise kinds.WrongInside(tuple(wrong), found)
    return found


def _type(name: str, table: Mapping[str, object], wrong: list[kinds.Wrong]) -> TypeSettings:
    values: dict[str, Any] = {}
    for written, raw in table.items():
        key = TYPE_KEYS.get(written)
        if key is None:
            wrong.append(kinds.Wrong((name, written), raw, unknown(("types", name, written), RUNS, TYPE_KEYS)))
            continue
        try:
            values[written] = key.kind(raw)
        except kinds.NotAllowed as reason:
            wrong.append(kinds.Wrong((name, written), raw, str(reason)))
    if values.get("parallel") is False and values.get("max_workers", 1) != 1:
        text = f"is max_workers = 1, and max_workers = {values['max_workers']} stands beside it; remove one of the two"
        wrong.append(kinds.Wrong((name, "parallel"), value=False, text=text))
    if values.get("fail_on_flaky") and values.get("max_flaky"):
        text = f"is max_flaky = 0, and max_flaky = {values['max_flaky']} stands beside it; remove one of the two"
        wrong.append(kinds.Wrong((name, "fail_on_flaky"), value=True, text=text))
    # Compared part by part with the paths of test files, which have neither "." nor ".." in them.
    paths = tuple(Path(os.path.normpath(path)).as_posix() for path in values.pop("paths", ()))
    return TypeSettings(
        # A name that cannot be used is nobody's: it clashes with none.
        marker=values.pop("marker", "" if "marker" in table else name),
        paths=paths,
        gate=values.pop("gate", False),
        values=MappingProxyType(values),
    )


def _markers_given_twice(types: Mapping[TestType, TypeSettings]) -> Iterator[kinds.Wrong]:
    owners: dict[str, TestType] = {}
    # Those with their own name first, so that the fault stands where a name was written.
    enabled = [(test_type, table.marker) for test_type, table in types.items() if table.enabled and table.marker]
    for test_type, marker in sorted(enabled, key=lambda entry: entry[0] != entry[1]):
        if (owner := owners.setdefault(marker, test_type)) is not test_type:
            text = f"is the marker of {owner.value!r} already; give each type its own"
            yield kinds.Wrong((test_type.value, "marker"), marker, text)


def _paths_given_twice(types: Mapping[TestType, TypeSettings]) -> Iterator[kinds.Wrong]:
    owners: dict[str, TestType] = {}
    for test_type, table in types.items():
        for path in table.paths if table.enabled else ():
            if (owner := owners.setdefault(path, test_type)) is not test_type:
                text = f"is a path of {owner.value!r} already; give each directory one type"
                yield kinds.Wrong((test_type.value, "paths"), path, text)


def _look(values: Mapping[str, Any], root: Path) -> Iterable[kinds.Wrong]:
    types: Mapping[TestType, TypeSettings] = values.get("types", {})
    for test_type, table in types.items():
        for path in table.paths:
            if not _exists(root / path):
                text = f"does not exist below {root.name or root}{_near(root, path)}"
                yield kinds.Wrong(("types", test_type.value, "paths"), path, text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # what the system cannot even look up, because it is too long, for one
        return False


def _near(root: Path, path: str) -> str:
    try:
        siblings = [entry.name for entry in (root / path).parent.iterdir()]
    except OSError:
        return ""
    near = kinds.nearest(Path(path).name, siblings)
    return f"; did you mean {(Path(path).parent / near).as_posix()!r}?" if near else ""


def _belongs(path: tuple[str, ...]) -> str:
    *tables, name = path
    if not tables and name in list(TestType):
        return f"the table of a type stands below types: types.{name}"
    if not tables and name in TYPE_KEYS:
        return f"it belongs to a type, such as types.unit.{name}"
    if tables and name in KEYS:
        return "it is not for a single type; write it outside types"
    return ""


def _derive(file: ConfigFile) -> Given:
    if file.project:
        return {"project": (f"{PYPROJECT} (project.name)", file.project)}
    return {"project": ("name of the directory", file.root.resolve().name or "tests")}


def _general(name: str) -> Key:
    return Key(KEYWORDS[name].kind, f"for every type: {KEYWORDS[name].help}", KEYWORDS[name].example)


KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "project": Key(kinds.text, "the job under which runs are pushed; default: the project's name", '"shop"'),
        **{name: _general(name) for name in ("timeout", "retries", "retry_delay", "retry_on")},
        "max_retries": Key(
            kinds.whole(0, 1_000_000, "repetitions"),
            "how many repetitions a whole run makes; no limit by default",
            "50",
        ),
        "max_workers": Key(
            kinds.whole(1, 10_000, "workers"), "the most workers that -n auto starts; no limit by default", "8"
        ),
        "exclusive_wait": Key(
            kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True),
            "seconds that a test waits until an exclusive one, or an exclusive one until all others, are over",
            "300",
        ),
        "watchdog": Key(
            kinds.duration(0, kinds.YEAR_S, "seconds (0 for never)"),
            "seconds of silence after which the tests that run are named; 0 for never",
            "600",
        ),
        "durations": Key(
            address.file_or_text,
            "read the tests' durations from this file, or from the sidecar at this URL, too; none by default",
            '"tests/durations.json"',
        ),
        "history": Key(
            kinds.text,
            "keep what relative budgets compare with in this file; default: pytest's cache",
            '"build/history.json"',
        ),
        "strict": Key(kinds.boolean, "a test without a type is an error", "false"),
        "measure": Key(kinds.boolean, "measure what each call costs; false switches budgets off, too", "true"),
        "measure_children": Key(kinds.boolean, "count the memory of child processes, too", "false"),
        "ctrf": Key(kinds.text, "write the run to this CTRF file; none by default", '"build/run.ctrf.json"'),
        "markdown": Key(kinds.text, "write a summary for people to this file; none by default", '"build/run.md"'),
        "textfile": Key(
            kinds.pattern(r".+\.prom", "a name that ends in .prom, because node_exporter reads no other"),
            "write the metrics for node_exporter to this file; none by default",
            '"build/sergas.prom"',
        ),
        "sidecar": Key(
            address.text,
            "send the run to this sidecar, and push the metrics there unless `push` names another place",
            '"http://127.0.0.1:8000"',
        ),
        "push": Key(address.text, "push the metrics to this Pushgateway; none by default", '"http://127.0.0.1:9091"'),
        "push_labels": Key(
            _labels,
            "labels added to the grouping key; {branch}, {job} and {provider} are filled in; none by default",
            '{branch = "{branch}"}',
        ),
        "push_username": Key(kinds.text, "user name for the Pushgateway; none by default", '"ci"'),
        "push_password_file": Key(
            kinds.text, "file that holds the password; none by default", '"/run/secrets/push-password"'
        ),
        "push_token_file": Key(
            kinds.text, "file that holds the bearer token; none by default", '"/run/secrets/push-token"'
        ),
        "publish_deadline": Key(
            kinds.duration(0, 3600, "seconds", open_below=True), "seconds that all publishers have together", "5"
        ),
        "slowest": Key(kinds.whole(0, 100, "tests"), "how many of the slowest tests are named for each type", "3"),
        "types": Key(_types, "a table for each type of test; false disables a type", "{}"),
    }
)

RUNS: Section[Settings] = Section(
    name="",
    keys=KEYS,
    settings=Settings,
    names={"test_timeout": "timeout", "test_retry_count": "retries", "max_test_workers": "max_workers"},
    environment={"PROMETHEUS_GATEWAY": "push", "SERGAS_PUSH_USERNAME": "push_username"},
    derive=_derive,
    look=_look,
    belongs=_belongs,
)
