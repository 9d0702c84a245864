"""The configuration: which file, which value, which source, and what is said about what cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas import config
from pytest_sergas.config import KEYS, TYPE_KEYS, Settings, load, load_sections, top_names
from pytest_sergas.config.file import ConfigFile, read_file
from pytest_sergas.config.runs import RUNS
from pytest_sergas.config.section import Key, Reading, Section, Top, Use, read
from pytest_sergas.config.toml import to_toml
from pytest_sergas.core import kinds
from pytest_sergas.core.records import TestType
from pytest_sergas.errors import ConfigurationError
from tests.core.json_values import JSON_VALUES

pytestmark = pytest.mark.unit

TEXT = "allowed: text on one line, not empty, of at most 4096 characters"
SECONDS = "allowed: seconds (0 for none), at least 0 and at most 31622400, such as 90 or '1h30m'"
ALL_KEYS = "allowed: " + ", ".join(
    dict.fromkeys(name for part in config.SECTIONS if part != "mail" for name in top_names(part))
)
MARKER = "allowed: a marker's name, of letters, digits and _, as in @pytest.mark.NAME"
BRACES = "allowed in braces: {branch}, {job}, {provider}; {{ and }} for the braces themselves"
URL = "allowed: http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9091"
URL_HINT = f"is of no use here; {URL}"
PROM = "allowed: a name that ends in .prom, because node_exporter reads no other"
LABEL = "allowed: label names of letters a to z, digits and _, not starting with a digit or __"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def own(root: Path, text: str) -> None:
    (root / "sergas.toml").write_text(text, encoding="utf-8")


def shared(root: Path, text: str) -> None:
    (root / "pyproject.toml").write_text(text, encoding="utf-8")


def faults(root: Path, *, environ: Mapping[str, str] | None = None, options: Any = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(root, environ=environ or {}, options=options)
    return caught.value.faults


def test_nothing_configured_is_the_defaults_and_the_name_of_the_directory(root: Path) -> None:
    loaded = load(root, environ={})

    assert loaded.settings == Settings(project="shop")
    assert loaded.sources == {**dict.fromkeys(KEYS, "default"), "project": "name of the directory"}


def test_own_file_has_its_keys_at_the_top(root: Path) -> None:
    own(root, 'push = "http://gateway:9091"\n[types.unit]\ntimeout = 5\n')

    loaded = load(root, environ={})

    assert loaded.settings.push == "http://gateway:9091"
    assert loaded.settings.types[TestType.UNIT].values == {"timeout": 5.0}
    assert loaded.sources["push"] == "sergas.toml"


def test_shared_file_has_its_keys_below_tool_sergas(root: Path) -> None:
    shared(root, '[project]\nname = "Shop"\n[tool.sergas]\nslowest = 7\n[tool.sergas.types.unit]\ntimeout = 5\n')

    loaded = load(root, environ={})

    assert (loaded.settings.slowest, loaded.settings.project) == (7, "Shop")
    assert loaded.settings.types[TestType.UNIT].values == {"timeout": 5.0}
    assert (loaded.sources["slowest"], loaded.sources["project"]) == ("pyproject.toml", "pyproject.toml (project.name)")


def test_own_file_beside_a_pyproject_that_says_nothing_about_us(root: Path) -> None:
    shared(root, '[project]\nname = "Shop"\n[tool.other]\nx = 1\n')
    own(root, "slowest = 7\n")

    loaded = load(root, environ={})

    assert (loaded.settings.slowest, loaded.settings.project) == (7, "Shop")


def test_byte_order_mark_is_not_part_of_the_text(root: Path) -> None:
    (root / "sergas.toml").write_bytes(b"\xef\xbb\xbfslowest = 7\n")

    assert load(root, environ={}).settings.slowest == 7


@pytest.mark.parametrize(
    ("specified", "key", "value"),
    [
        pytest.param("test_timeout = 300.0", "timeout", 300.0, id="test_timeout"),
        pytest.param("test_retry_count = 2", "retries", 2, id="test_retry_count"),
        pytest.param("max_test_workers = 8", "max_workers", 8, id="max_test_workers"),
    ],
)
def test_name_of_the_specification_is_our_key(root: Path, specified: str, key: str, value: object) -> None:
    own(root, specified)

    loaded = load(root, environ={})

    assert getattr(loaded.settings, key) == value
    assert loaded.sources[key] == f"sergas.toml ({specified.partition(' ')[0]})"


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        pytest.param("PROMETHEUS_GATEWAY", "push", id="gateway"),
        pytest.param("SERGAS_PUSH_USERNAME", "push_username", id="user name"),
    ],
)
def test_environment_comes_before_the_file(root: Path, variable: str, key: str) -> None:
    own(root, f'{key} = "from-file"')

    loaded = load(root, environ={variable: "from-environment"})

    assert (getattr(loaded.settings, key), loaded.sources[key]) == ("from-environment", f"environment: {variable}")


def test_command_line_comes_before_the_environment(root: Path) -> None:
    loaded = load(root, environ={"PROMETHEUS_GATEWAY": "a:1"}, options={"push": ("--sergas-push", "b:2")})

    assert (loaded.settings.push, loaded.sources["push"]) == ("b:2", "command line: --sergas-push")


def test_empty_variable_is_not_set(root: Path) -> None:
    own(root, 'push = "from-file"')

    assert load(root, environ={"PROMETHEUS_GATEWAY": ""}).settings.push == "from-file"


def test_type_can_be_renamed_and_its_name_given_to_another(root: Path) -> None:
    own(root, '[types.integration]\nmarker = "api"\n[types.e2e]\nmarker = "integration"\n')

    types = load(root, environ={}).settings.types

    assert (types[TestType.INTEGRATION].marker, types[TestType.E2E].marker) == ("api", "integration")


def test_name_of_a_disabled_type_is_free(root: Path) -> None:
    own(root, '[types]\nload = false\n[types.stress]\nmarker = "load"\n')

    types = load(root, environ={}).settings.types

    assert not types[TestType.LOAD].enabled
    assert types[TestType.STRESS].marker == "load"


def test_paths_are_compared_without_their_spelling(root: Path) -> None:
    (root / "tests" / "unit").mkdir(parents=True)
    own(root, '[types.unit]\npaths = ["./tests/../tests/unit/"]\n')

    assert load(root, environ={}).settings.types[TestType.UNIT].paths == ("tests/unit",)


def test_general_settings_are_those_that_are_given() -> None:
    assert Settings(timeout=0.0, retry_on=()).general == {"timeout": 0.0, "retry_on": ()}


def test_all_faults_of_all_places_are_one_error(root: Path) -> None:
    own(root, "timeuot = 5\nslowest = -1\n[types.unit]\ntimeout = -1\n")

    with pytest.raises(ConfigurationError) as caught:
        load(root, environ={"SERGAS_PUSH_USERNAME": "a\nb"}, options={"ctrf": ("--sergas-ctrf", "")})

    assert str(caught.value) == (
        "sergas: 5 faults in the configuration\n"
        "  sergas.toml: timeuot = 5: unknown key; did you mean 'timeout'?\n"
        "  sergas.toml: slowest = -1: allowed: tests, a whole number from 0 to 100\n"
        f"  sergas.toml: [types.unit] timeout = -1: {SECONDS}\n"
        f"  environment: SERGAS_PUSH_USERNAME = 'a\\nb': {TEXT}\n"
        f"  command line: --sergas-ctrf = '': {TEXT}"
    )


def test_one_fault_is_singular() -> None:
    assert str(ConfigurationError(("x",))) == "sergas: 1 fault in the configuration\n  x"


def both(root: Path) -> None:
    shared(root, "[tool.sergas]\n")
    own(root, "")


FILES: list[Any] = [
    pytest.param(
        lambda root: own(root, "timeout = \n"),
        "sergas.toml: not TOML: Invalid value (at line 1, column 11)",
        id="not TOML",
    ),
    pytest.param(
        lambda root: own(root, "a = " + "[" * 9000 + "]" * 9000), "sergas.toml: not TOML: nested too deeply", id="deep"
    ),
    pytest.param(
        lambda root: own(root, "timeout = " + "9" * 5000),
        "sergas.toml: not TOML: a number has too many digits",
        id="more digits than Python reads",
    ),
    pytest.param(
        lambda root: (root / "sergas.toml").write_bytes("timeout = 1".encode("utf-16")),
        "sergas.toml: not UTF-8 at byte 0; save it as UTF-8",
        id="UTF-16",
    ),
    pytest.param(
        lambda root: (root / "sergas.toml").mkdir(),
        "sergas.toml: is not a file; rename it, or write the configuration there",
        id="directory",
    ),
    pytest.param(
        lambda root: os.mkfifo(root / "sergas.toml"),
        "sergas.toml: is not a file; rename it, or write the configuration there",
        id="pipe",
    ),
    pytest.param(
        lambda root: (root / "sergas.toml").symlink_to("elsewhere"),
        "sergas.toml: cannot be read: No such file or directory",
        id="link to nothing",
    ),
    pytest.param(
        lambda root: (root / "sergas.toml").symlink_to("sergas.toml"),
        "sergas.toml: cannot be read: Too many levels of symbolic links",
        id="link to itself",
    ),
    pytest.param(
        both,
        "sergas.toml: [tool.sergas] in pyproject.toml configures the same; keep one of the two",
        id="both",
    ),
    pytest.param(
        lambda root: shared(root, "[tool]\nsergas = 5\n"),
        "pyproject.toml: [tool] sergas = 5: allowed: a table, [tool.sergas]",
        id="no table",
    ),
    pytest.param(
        lambda root: shared(root, "[[tool.sergas]]\na = 1\n"),
        "pyproject.toml: [tool] sergas = [{'a': 1}]: allowed: a table, [tool.sergas]",
        id="list of tables",
    ),
]


@pytest.mark.parametrize(("prepare", "fault"), FILES)
def test_file_that_cannot_be_used(root: Path, prepare: Callable[[Path], object], fault: str) -> None:
    prepare(root)

    assert faults(root) == (fault,)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root and Windows read every file")
def test_file_that_may_not_be_read(root: Path) -> None:
    own(root, "")
    (root / "sergas.toml").chmod(0)

    assert faults(root) == ("sergas.toml: cannot be read: Permission denied",)


def test_key_that_is_given_twice_is_not_toml(root: Path) -> None:
    own(root, "timeout = 1\ntimeout = 2\n")

    (fault,) = faults(root)

    assert fault.startswith("sergas.toml: not TOML: ")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param("xyz = 1", f"xyz = 1: unknown key; {ALL_KEYS}", id="unlike any key"),
        pytest.param('"" = 1', f"'' = 1: unknown key; {ALL_KEYS}", id="empty key"),
        pytest.param('"a\\nb" = 1', f"'a\\nb' = 1: unknown key; {ALL_KEYS}", id="key with a line end"),
        pytest.param("TIMEOUT = 1", "TIMEOUT = 1: unknown key; did you mean 'timeout'?", id="capitals"),
        pytest.param("größe = 1", None, id="key that TOML does not know"),
        pytest.param('"größe" = 1', f"'größe' = 1: unknown key; {ALL_KEYS}", id="unicode"),
        pytest.param(
            "gate = true", "gate = true: unknown key; it belongs to a type, such as types.unit.gate", id="key of a type"
        ),
        pytest.param(
            "unit = false",
            "unit = false: unknown key; the table of a type stands below types: types.unit",
            id="type outside types",
        ),
        pytest.param("timeout = nan", f"timeout = nan: {SECONDS}", id="no number"),
        pytest.param("timeout = inf", f"timeout = inf: {SECONDS}", id="infinite"),
        pytest.param("timeout = 1e300", f"timeout = 1e+300: {SECONDS}", id="huge"),
        pytest.param(f"timeout = 0x{'f' * 5000}", f"timeout = <int>: {SECONDS}", id="more digits than Python shows"),
        pytest.param("timeout = true", f"timeout = true: {SECONDS}", id="truth as a number"),
        pytest.param('timeout = "5 x"', f"timeout = '5 x': {SECONDS}", id="text that is no time"),
        pytest.param("timeout = {s = 5}", f"timeout = {{s = ...}}: {SECONDS}", id="table as a number"),
        pytest.param("timeout = 2026-01-01", f"timeout = datetime.date(2026, 1, 1): {SECONDS}", id="date as a number"),
        pytest.param("strict = 1", "strict = 1: allowed: true or false", id="number as a truth"),
        pytest.param("slowest = 1.5", "slowest = 1.5: allowed: tests, a whole number from 0 to 100", id="fraction"),
        pytest.param('project = ""', f"project = '': {TEXT}", id="empty text"),
        pytest.param("ctrf = {file = 1}", f"ctrf = {{file = ...}}: {TEXT}", id="table as a text"),
        pytest.param('ctrf = "a\\u0000b"', f"ctrf = 'a\\x00b': {TEXT}", id="text with a NUL"),
        pytest.param(
            "publish_deadline = 0",
            "publish_deadline = 0: allowed: seconds, more than 0 and at most 3600, such as 90 or '1h30m'",
            id="zero",
        ),
        pytest.param(
            'types = ["unit"]',
            "types = ['unit']: allowed: a table with a table for each type, such as types.unit",
            id="list of types",
        ),
        pytest.param(
            "types.unit = true", "[types] unit = true: allowed: a table, or false to disable the type", id="true type"
        ),
        pytest.param(
            "types.intergation = {}",
            "[types] intergation = {}: unknown key; did you mean 'integration'?",
            id="misspelt type",
        ),
        pytest.param(
            "types.xyz = {}",
            "[types] xyz = {}: unknown key; allowed: unit, integration, performance, security, load, regression, "
            "smoke, e2e, compatibility, stress",
            id="unknown type",
        ),
        pytest.param(
            "types.unit.retry-delay = 1",
            "[types.unit] retry-delay = 1: unknown key; did you mean 'retry_delay'?",
            id="misspelt key of a type",
        ),
        pytest.param(
            'types.unit.push = "a"',
            "[types.unit] push = 'a': unknown key; it is not for a single type; write it outside types",
            id="general key in a type",
        ),
        pytest.param("types.unit.marker = 'not'", f"[types.unit] marker = 'not': {MARKER}", id="keyword as a marker"),
        pytest.param("types.unit.marker = '_x'", f"[types.unit] marker = '_x': {MARKER}", id="private marker"),
        pytest.param(
            "types.unit.marker = 'xfail'",
            "[types.unit] marker = 'xfail': is a marker of pytest or of a plugin that comes with us; "
            "choose another name",
            id="marker of pytest",
        ),
        pytest.param(
            "types.unit.marker = 'smoke'",
            "[types.unit] marker = 'smoke': is the marker of 'smoke' already; give each type its own",
            id="marker of another type",
        ),
        pytest.param(
            "types = {unit = {parallel = false, max_workers = 3}}",
            "[types.unit] parallel = false: is max_workers = 1, and max_workers = 3 stands beside it; "
            "remove one of the two",
            id="two that contradict",
        ),
        pytest.param(
            "types = {unit = {fail_on_flaky = true, max_flaky = 3}}",
            "[types.unit] fail_on_flaky = true: is max_flaky = 0, and max_flaky = 3 stands beside it; "
            "remove one of the two",
            id="two that contradict about flaky tests",
        ),
        pytest.param(
            "types.unit.paths = 'tests/unti'",
            "[types.unit] paths = 'tests/unti': does not exist below shop; did you mean 'tests/unit'?",
            id="misspelt path",
        ),
        pytest.param(
            "types.unit.paths = ['nowhere/at/all']",
            "[types.unit] paths = 'nowhere/at/all': does not exist below shop",
            id="missing path",
        ),
        pytest.param(
            f"types.unit.paths = ['{'a' * 300}']",
            f"[types.unit] paths = '{'a' * 76}...: does not exist below shop",
            id="path longer than the system takes",
        ),
        pytest.param(
            "types = {unit = {paths = ['tests']}, e2e = {paths = ['./tests/']}}",
            "[types.e2e] paths = 'tests': is a path of 'unit' already; give each directory one type",
            id="path of two types",
        ),
        pytest.param('push = "ftp://ci:pw@gw"', f"push = 'ftp://***@gw': not a URL of a gateway; {URL}", id="address"),
        pytest.param(
            'push = "http://gw?key=1"', f"push = 'http://gw?***': a query or a fragment {URL_HINT}", id="query"
        ),
        pytest.param('textfile = "run.txt"', f"textfile = 'run.txt': {PROM}", id="textfile"),
        pytest.param("push_labels = 5", 'push_labels = 5: allowed: a table, such as {branch = "{branch}"}', id="label"),
        pytest.param("push_labels.9a = 'x'", f"[push_labels] 9a = 'x': {LABEL}", id="label name"),
        pytest.param("push_labels.é = 'x'", None, id="bare unicode label name"),
        pytest.param("push_labels.n = 5", f"[push_labels] n = 5: {TEXT}", id="number as a label"),
        pytest.param(
            "push_labels.outcome = 'x'",
            "[push_labels] outcome = 'x': 'outcome' is a label of the metrics themselves; choose another name",
            id="label of ours",
        ),
        pytest.param("push_labels.a = '{commit}'", f"[push_labels] a = '{{commit}}': {BRACES}", id="unknown braces"),
        pytest.param("push_labels.a = '{'", f"[push_labels] a = '{{': {BRACES}", id="open brace"),
        pytest.param(
            "push_labels.a = '{branch:>9999999999}'",
            f"[push_labels] a = '{{branch:>9999999999}}': {BRACES}",
            id="braces that would fill the memory",
        ),
        pytest.param(
            "timeout = 1\ntest_timeout = 2",
            "test_timeout = 2: says the same as 'timeout'; remove one of the two",
            id="two names for one key",
        ),
        pytest.param(
            "max_test_workers = 0",
            "max_test_workers = 0: allowed: workers, a whole number from 1 to 10000",
            id="name of the specification",
        ),
    ],
)
def test_fault_names_file_key_value_and_what_to_do(root: Path, line: str, fault: str | None) -> None:
    (root / "tests" / "unit").mkdir(parents=True)
    own(root, line)

    (found,) = faults(root)

    assert found == f"sergas.toml: {fault}" if fault else found.startswith("sergas.toml: not TOML: ")


def test_fault_in_the_shared_file_names_the_table_as_it_is_written_there(root: Path) -> None:
    shared(root, "[tool.sergas]\nslowest = -1\n[tool.sergas.types.unit]\ntimeout = -1\n")

    assert faults(root) == (
        "pyproject.toml: [tool.sergas] slowest = -1: allowed: tests, a whole number from 0 to 100",
        f"pyproject.toml: [tool.sergas.types.unit] timeout = -1: {SECONDS}",
    )


@pytest.mark.parametrize("name", sorted(config.runs.TAKEN_MARKERS))
def test_marker_of_pytest_and_its_plugins_is_taken(root: Path, name: str) -> None:
    own(root, f'[types.unit]\nmarker = "{name}"')

    assert "is a marker of pytest or of a plugin that comes with us" in faults(root)[0]


def test_unusable_marker_clashes_with_none(root: Path) -> None:
    own(root, '[types.unit]\nmarker = "not"\n[types.e2e]\nmarker = "unit"\n')

    assert faults(root) == (f"sergas.toml: [types.unit] marker = 'not': {MARKER}",)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('push_pasword = "hunter2"', id="misspelt"),
        pytest.param('slack_webhook_ulr = "https://hooks.example/hunter2"', id="misspelt address"),
        pytest.param('types.unit.token = "hunter2"', id="in a type"),
        pytest.param('smpt = {host = "mail", password = "hunter2"}', id="in a table"),
        pytest.param('smpt = {pasword = "hunter2"}', id="misspelt in a table"),
        pytest.param('passwords = ["hunter2"]', id="in a list"),
        pytest.param("access_token = 'hunter2'", id="second word"),
        pytest.param('push = ["http://ci:hunter2@gateway"]', id="in an address"),
        pytest.param('timeout = "http://ci:hunter2@gateway"', id="in an address under another key"),
        pytest.param('push_labels.a = "http://ci:hunter2@{host}"', id="in an address among labels"),
        pytest.param('password = "hunter2', id="in a line that is not TOML"),
    ],
)
def test_secret_is_never_shown(root: Path, line: str) -> None:
    own(root, line)

    assert "hunter2" not in " ".join(faults(root))


def test_secret_in_a_variable_is_never_shown(root: Path) -> None:
    (fault,) = faults(root, environ={"PROMETHEUS_GATEWAY": "http://ci:hunter2@gateway\n"})

    assert fault == f"environment: PROMETHEUS_GATEWAY = 'http://***@gateway\\n': {TEXT}"


@pytest.mark.parametrize("key", [key for key in KEYS if key != "types"])
def test_example_of_a_key_is_of_its_kind(key: str, root: Path) -> None:
    own(root, f"{key} = {KEYS[key].example}")

    assert load(root, environ={}).sources[key] == "sergas.toml"


@pytest.mark.parametrize("key", list(TYPE_KEYS))
def test_example_of_a_key_of_a_type_is_of_its_kind(key: str, root: Path) -> None:
    own(root, f"[types.unit]\n{key} = {TYPE_KEYS[key].example}")

    assert load(root, environ={}).sources["types"] == "sergas.toml"


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20
).filter(str.strip)
TYPE_TABLES = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.floats(0, 1000),
        "retries": st.integers(0, 100),
        "retry_on": st.lists(st.sampled_from(["OSError", "ValueError"]), max_size=2),
        "gate": st.booleans(),
        "max_regression": st.floats(0.01, 10),
        "dependencies": st.lists(WORDS, max_size=2),
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "project": WORDS,
        "timeout": st.floats(0, 1000),
        "retries": st.integers(0, 100),
        "retry_on": st.lists(st.sampled_from(["OSError", "ValueError"]), max_size=2),
        "max_workers": st.integers(1, 10_000),
        "strict": st.booleans(),
        "ctrf": WORDS,
        "push": st.sampled_from(["gateway", "http://gateway:9091", "https://ci:pw@[::1]/push"]),
        "push_labels": st.dictionaries(
            st.from_regex(r"[a-z]{3}_[a-z]{1,5}", fullmatch=True), WORDS.filter(lambda word: not {"{", "}"} & {*word})
        ),
        "publish_deadline": st.floats(0.001, 3600),
        "types": st.dictionaries(st.sampled_from([*map(str, TestType)]), TYPE_TABLES | st.just(value=False)),
    },
)


@given(DOCUMENTS)
def test_settings_say_what_was_written(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> None:
    root = tmp_path_factory.mktemp("root")
    own(root, "".join(f"{key} = {to_toml(value)}\n" for key, value in document.items()))

    settings = load(root, environ={}).settings

    types = document.pop("types", {})
    expected = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
    assert {key: getattr(settings, key) for key in document} == expected
    for name, table in types.items():
        found = settings.types[TestType(name)]
        assert found.enabled is (table is not False)
        written = {} if table is False else {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        assert found.gate is written.pop("gate", False)
        assert found.values == written


@given(st.dictionaries(st.sampled_from([*KEYS, *RUNS.names, *TestType]) | st.text(), JSON_VALUES, max_size=5))
def test_any_document_is_read_or_refused_line_by_line(document: dict[str, object]) -> None:
    file = ConfigFile(Path(), "sergas.toml", (), document)
    try:
        reading = read(RUNS, file, Top(dict.fromkeys(top_names(""), "")), Use({}, {}))
    except ConfigurationError as error:
        shown = error.faults
    else:
        assert isinstance(reading.settings, Settings)
        return
    assert all(fault.startswith("sergas.toml: ") and len(fault.splitlines()) == 1 for fault in shown)


# A section of another part, as data.


@dataclass(frozen=True, slots=True)
class Mail:
    """Where alerts are sent."""

    host: str = "localhost"
    port: int = 25
    tls: bool = False
    password: str = ""


def _encrypted_port(values: Mapping[str, Any]) -> list[kinds.Wrong]:
    wrong = values.get("port") == 25 and values.get("tls") is True
    return [kinds.Wrong(("port",), 25, "is not for tls; allowed: 465, 587")] if wrong else []


MAIL = Section(
    name="mail",
    keys={
        "host": Key(kinds.text, "the mail server", '"localhost"'),
        "port": Key(kinds.whole(1, 65535, "a port"), "its port", "25"),
        "tls": Key(kinds.boolean, "whether the connection is encrypted", "false"),
        "password": Key(kinds.text, "the password", '"x"'),
    },
    settings=Mail,
    names={"mail_host": "host"},
    environment={"SMTP_PORT": "port", "SMTP_TLS": "tls", "SMTP_PASSWORD": "password"},
    check=_encrypted_port,
)


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.SECTIONS, "mail", f"{__name__}:MAIL")


def read_mail(root: Path, environ: Mapping[str, str] | None = None) -> Reading[Mail]:
    return load_sections(read_file(root), ("mail",), environ=environ or {})["mail"]


@pytest.mark.usefixtures("mail")
def test_another_section_is_read_by_the_same_code(root: Path) -> None:
    own(root, 'slowest = 7\n[mail]\nhost = "mx"\ntls = true\n')

    reading = read_mail(root, {"SMTP_PORT": "587", "SMTP_PASSWORD": "12345"})

    # A text stays a text although it spells a number; a number is read from its text.
    assert reading.settings == Mail(host="mx", port=587, tls=True, password="12345")  # noqa: S106  what a test writes
    assert reading.sources == {
        "host": "sergas.toml",
        "port": "environment: SMTP_PORT",
        "tls": "sergas.toml",
        "password": "environment: SMTP_PASSWORD",
    }


@pytest.mark.usefixtures("mail")
def test_name_of_the_specification_stands_at_the_top_for_another_section_too(root: Path) -> None:
    own(root, 'mail_host = "mx"\n')

    assert read_mail(root).settings.host == "mx"
    assert load(root, environ={}).settings == Settings(project="shop")


@pytest.mark.usefixtures("mail")
def test_every_part_judges_the_whole_configuration(root: Path) -> None:
    own(root, "slowest = -1\n[mail]\nprot = 1\n[[chanels]]\ntype = 'log'\n")

    whole = (
        "sergas.toml: slowest = -1: allowed: tests, a whole number from 0 to 100",
        "sergas.toml: chanels = [{type = ...}]: unknown key; did you mean 'channels'?",
        "sergas.toml: [mail] prot = 1: unknown key; did you mean 'port'?",
    )
    assert faults(root) == whole
    with pytest.raises(ConfigurationError) as caught:
        read_mail(root)
    assert caught.value.faults == whole


@pytest.mark.usefixtures("mail")
def test_variable_of_another_part_is_nothing_to_the_plugin(root: Path) -> None:
    own(root, "[mail]\nhost = 'mx'\n")

    assert load(root, environ={"SMTP_PORT": "99999"}).settings == Settings(project="shop")


@pytest.mark.usefixtures("mail")
@pytest.mark.parametrize(
    ("text", "environ", "fault"),
    [
        pytest.param("mail = 5", {}, "sergas.toml: mail = 5: allowed: a table", id="no table"),
        pytest.param(
            'mail_host = "a"\n[mail]\nhost = "b"',
            {},
            "sergas.toml: mail_host = 'a': says the same as 'mail.host'; remove one of the two",
            id="two names for one key",
        ),
        pytest.param(
            "[mail]\ntls = true\nport = 25",
            {},
            "sergas.toml: [mail] port = 25: is not for tls; allowed: 465, 587",
            id="values that do not go together",
        ),
        pytest.param(
            "",
            {"SMTP_PORT": "99999"},
            "environment: SMTP_PORT = '99999': allowed: a port, a whole number from 1 to 65535",
            id="number in a variable",
        ),
        pytest.param(
            "", {"SMTP_TLS": "yes"}, "environment: SMTP_TLS = 'yes': allowed: true or false", id="truth in a variable"
        ),
    ],
)
def test_fault_of_another_section_names_its_table(
    root: Path, text: str, environ: Mapping[str, str], fault: str
) -> None:
    own(root, text)

    with pytest.raises(ConfigurationError) as caught:
        read_mail(root, environ)
    assert caught.value.faults == (fault,)


@pytest.mark.usefixtures("mail")
def test_section_below_tool_sergas(root: Path) -> None:
    shared(root, '[tool.sergas.mail]\nhost = ""\n')

    with pytest.raises(ConfigurationError) as caught:
        read_mail(root)
    assert caught.value.faults == (f"pyproject.toml: [tool.sergas.mail] host = '': {TEXT}",)


@pytest.mark.usefixtures("mail")
def test_faults_of_several_sections_are_one_error(root: Path) -> None:
    own(root, "slowest = -1\n[mail]\nport = 0\n")

    with pytest.raises(ConfigurationError) as caught:
        load_sections(read_file(root), ("", "mail"), environ={})
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(300.0, "300", id="whole number"),
        pytest.param(0.5, "0.5", id="fraction"),
        pytest.param(True, "true", id="truth"),
        pytest.param(("a", "b"), '["a", "b"]', id="list"),
        pytest.param({"a b": 1, "c": "d"}, '{"a b" = 1, c = "d"}', id="table"),
        pytest.param('a"\n\x7f', '"a\\"\\n\\u007f"', id="text with what must be escaped"),
    ],
)
def test_value_as_toml(value: object, text: str) -> None:
    assert to_toml(value) == text


def test_nothing_has_no_toml() -> None:
    with pytest.raises(TypeError, match=r"^TOML has no value for NoneType$"):
        to_toml(None)
