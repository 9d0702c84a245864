"""The command line: what it writes, where, and with which exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas import cli, config
from pytest_sergas.cli.config import Shown, resolve_all
from pytest_sergas.cli.init import guess_paths, starter
from pytest_sergas.config import TYPE_KEYS, Settings, TypeSettings, load, load_sections
from pytest_sergas.config.file import read_file
from pytest_sergas.config.section import Key
from pytest_sergas.core.policy import Source
from pytest_sergas.core.records import TestType
from pytest_sergas.version import VERSION
from tests import test_config

pytestmark = pytest.mark.integration

NOTHING: tuple[Source, Mapping[str, Any]] = (Source.COMMAND_LINE, {})


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished command."""

    status: int
    out: str
    err: str


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


def sergas(root: Path, *arguments: str, **environ: str) -> Ran:
    """Run ``sergas`` in ``root``, with nothing from this run in its environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PROMETHEUS", "SERGAS"))
    }
    result = subprocess.run(
        [sys.executable, "-m", "pytest_sergas", *arguments],
        cwd=root,
        env={**kept, **environ},
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    return Ran(result.returncode, result.stdout, result.stderr)


def answers(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ran:
    """Run the command line in this process: for what needs no pytest of its own."""
    try:
        status = cli.main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    return Ran(status, *capsys.readouterr())


def uncommented(lines: list[str]) -> str:
    """Return the starter with every key in force: a ``#`` before a key goes, prose stays."""
    return "\n".join(re.sub(r"^#(?=[a-z])", "", line) for line in lines) + "\n"


# sergas itself


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert answers(capsys, "--version") == Ran(0, f"sergas {VERSION}\n", "")


def test_help_lists_every_command_with_its_meaning_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    ran = answers(capsys, "--help")

    assert ran.status == 0
    flat = " ".join(ran.out.split())
    assert "config show the configuration that is in force, and where each value comes from" in flat
    assert "init write a commented configuration to start from" in flat
    assert "sergas COMMAND --help explain a command" in flat


def test_commands_are_the_modules_of_the_package() -> None:
    modules = (path.stem for path in Path(cli.__path__[0]).glob("*.py"))

    assert cli.command_names() == sorted(name for name in modules if not name.startswith("_"))
    assert {"checks", "config", "init", "serve"} <= set(cli.command_names())


@pytest.mark.parametrize("command", cli.command_names())
def test_help_of_a_command_has_its_options_and_examples_within_80_columns(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ran = answers(capsys, command, "--help")

    assert ran.status == 0
    assert f"usage: sergas {command}" in ran.out
    assert f"examples:\n  sergas {command}" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_without_a_command_the_help_is_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    ran = answers(capsys)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("usage: sergas [-h] [--version] COMMAND ...\n")


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        pytest.param("confg", "unknown command 'confg'; did you mean 'config'?", id="misspelt"),
        pytest.param("CONFIG", "unknown command 'CONFIG'; did you mean 'config'?", id="capitals"),
        pytest.param("xyz", f"unknown command 'xyz'; allowed: {', '.join(cli.command_names())}", id="unlike any"),
        pytest.param(
            "_pytest", f"unknown command '_pytest'; allowed: {', '.join(cli.command_names())}", id="private module"
        ),
    ],
)
def test_unknown_command_says_the_nearest(capsys: pytest.CaptureFixture[str], typed: str, text: str) -> None:
    assert answers(capsys, typed) == Ran(2, "", f"usage: sergas [-h] [--version] COMMAND ...\nsergas: error: {text}\n")


def test_unknown_option_of_a_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    ran = answers(capsys, "config", "--jsn")

    assert ran.status == 2
    assert "error: unrecognized arguments: --jsn" in ran.err


def test_command_imports_no_other_command() -> None:
    code = (
        "import sys; from pytest_sergas import cli\n"
        "try: cli.main(['config', '--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted(m for m in sys.modules if m.startswith('pytest_sergas.cli.')), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)

    assert result.stderr.split() == ["pytest_sergas.cli._options", "pytest_sergas.cli.config"]


def test_installed_command_is_the_module(root: Path) -> None:
    command = Path(sys.executable).with_name("sergas")

    result = subprocess.run([command, "--version"], cwd=root, check=True, capture_output=True, text=True, timeout=60)

    assert result.stdout == sergas(root, "--version").out


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end differently on Windows")
def test_reader_that_goes_away_is_no_error(root: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-m", "pytest_sergas", "config"],
        cwd=root,
        check=False,
        stdout=write_end,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    os.close(write_end)

    assert (result.returncode, result.stderr) == (0, b"")


# sergas init


@pytest.mark.parametrize("head", ["", "tool.sergas"])
@pytest.mark.parametrize("change", ["\n".join, uncommented], ids=["as written", "every key uncommented"])
def test_starter_is_valid(root: Path, head: str, change: Any) -> None:
    (root / "tests" / "unit").mkdir(parents=True)
    (root / ("pyproject.toml" if head else "sergas.toml")).write_text(
        change(list(starter(guess_paths(root), head=head))), encoding="utf-8"
    )

    types = load(root, environ={}).settings.types

    assert types[TestType.UNIT].paths == ("tests/unit",)
    assert [test_type.value for test_type in TestType if types[test_type].gate] == ["smoke"]


def test_starter_as_written_changes_nothing_but_paths_and_gates(root: Path) -> None:
    (root / "sergas.toml").write_text("\n".join(starter({}, head="")), encoding="utf-8")

    expected = {test_type: TypeSettings(marker=test_type.value) for test_type in TestType}
    expected[TestType.SMOKE] = TypeSettings(marker="smoke", gate=True)
    assert load(root, environ={}).settings == Settings(project="shop", types=expected)


def every_key() -> Iterator[tuple[str, str, Key]]:
    """Return section, name and key for all that there are."""
    for section in config.SECTIONS:
        for name, key in config.find(section).keys.items():
            yield section, name, key


def test_starter_holds_every_key_and_explains_it(root: Path) -> None:
    del root
    lines = list(starter({}, head=""))
    written = tomllib.loads(uncommented(lines))

    sections = [config.find(name) for name in config.SECTIONS]
    at_top = {key for section in sections if section.at_top for key in section.keys}
    assert set(written) == {*config.KEYS, *at_top, *(section.table for section in sections if section.table)}
    assert set(written["types"]["unit"]) == set(TYPE_KEYS)
    assert set(written["types"]) == {test_type.value for test_type in TestType}
    for section, key, entry in every_key():
        if (section, key) != ("", "types"):
            assert lines[lines.index(f"#{key} = {entry.example}") - 1] == f"# {entry.help}"


def test_starter_shows_the_defaults_of_what_has_one(root: Path) -> None:
    defaults = Settings()
    for key in ("strict", "publish_deadline", "slowest"):
        (root / "sergas.toml").write_text(f"{key} = {config.KEYS[key].example}", encoding="utf-8")
        assert getattr(load(root, environ={}).settings, key) == getattr(defaults, key)


@pytest.mark.usefixtures("mail")
def test_starter_has_the_keys_of_every_section() -> None:
    lines = list(starter({}, head="tool.sergas"))

    start = lines.index("[tool.sergas.mail]")
    assert lines[start + 1 : start + 3] == ["# the mail server", '#host = "localhost"']


mail = test_config.mail


def test_init_writes_the_starter_and_says_what_to_do_next(root: Path) -> None:
    for name in ("tests/unit", "tests/perf"):
        (root / name).mkdir(parents=True)

    ran = sergas(root, "init")

    assert ran == Ran(
        0,
        "wrote sergas.toml\n"
        "  tests/unit: tests of the type unit\n"
        "  tests/perf: tests of the type performance\n"
        "  smoke tests run first; the rest does not start when one of them fails\n"
        "next:\n"
        "  pytest -m unit         run the tests of one type\n"
        "  sergas config          show what is in force\n",
        "",
    )
    assert (root / "sergas.toml").read_text("utf-8") == "\n".join(starter(guess_paths(root), head="")) + "\n"


def test_init_without_directories_says_how_a_test_gets_a_type(root: Path) -> None:
    assert "  mark a test with @pytest.mark.unit, or give a directory a type with paths\n" in sergas(root, "init").out


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("end", ["", "\n"], ids=["last line open", "last line ended"])
def test_init_appends_to_pyproject_and_leaves_the_rest(root: Path, newline: str, end: str) -> None:
    before = f'[project]{newline}name = "Größe"{end and newline}'.encode()
    (root / "pyproject.toml").write_bytes(before)

    ran = sergas(root, "init", "--pyproject")

    assert ran.out.startswith("appended [tool.sergas] to pyproject.toml\n")
    after = (root / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == after.count(newline.encode())
    assert load(root, environ={}).settings.project == "Größe"


@pytest.mark.parametrize(
    ("arguments", "files", "text"),
    [
        pytest.param(
            (),
            {"sergas.toml": "slowest = 7\n"},
            "sergas: sergas.toml exists already and is left as it is; sergas config shows what it says",
            id="own file exists",
        ),
        pytest.param(
            (),
            {"pyproject.toml": "[tool.sergas]\n"},
            "sergas: [tool.sergas] in pyproject.toml exists already and is left as it is; "
            "sergas config shows what it says",
            id="table exists",
        ),
        pytest.param(
            ("--pyproject",),
            {"sergas.toml": ""},
            "sergas: sergas.toml exists already and is left as it is; sergas config shows what it says",
            id="own file exists and the table is asked for",
        ),
        pytest.param(
            ("--pyproject",),
            {},
            "sergas: there is no pyproject.toml here; sergas init writes sergas.toml",
            id="no pyproject",
        ),
        pytest.param(
            ("--pyproject",),
            {"pyproject.toml": "tool = {other = {x = 1}}\n"},
            "sergas: [tool.sergas] cannot be appended to pyproject.toml, whose tables are written inline; "
            "sergas init writes sergas.toml",
            id="inline tables",
        ),
        pytest.param(
            (),
            {"sergas.toml": "x = \n"},
            "sergas: 1 fault in the configuration\n  sergas.toml: not TOML: Invalid value (at line 1, column 5)",
            id="broken file",
        ),
    ],
)
def test_init_refuses_and_changes_nothing(
    root: Path, arguments: tuple[str, ...], files: dict[str, str], text: str
) -> None:
    for name, content in files.items():
        (root / name).write_text(content, encoding="utf-8")

    ran = sergas(root, "init", *arguments)

    assert ran == Ran(2, "", f"{text}\n")
    assert {path.name: path.read_text("utf-8") for path in root.iterdir() if path.is_file()} == files


def test_init_below_pytests_root_directory_says_where_it_is(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.pytest]\n", encoding="utf-8")
    (root / "tests").mkdir()

    assert sergas(root / "tests", "init") == Ran(
        2,
        "",
        f"sergas: pytest's root directory is {root}, and only a file there counts; run sergas init there\n",
    )


@pytest.mark.parametrize("command", ["config", "init"])
def test_pytest_that_cannot_start_is_said(root: Path, command: str) -> None:
    (root / "conftest.py").write_text("import nowhere_at_all\n", encoding="utf-8")

    ran = sergas(root, command)

    assert (ran.status, ran.out) == (2, "")
    assert "No module named 'nowhere_at_all'" in ran.err
    assert ran.err.endswith("sergas: pytest cannot start in this directory (status 4); fix that first\n")


# sergas config


def test_config_shows_each_value_with_its_source(root: Path) -> None:
    (root / "tests" / "api").mkdir(parents=True)
    (root / "sergas.toml").write_text(
        "test_timeout = 60\nstrict = true\n[types.integration]\n"
        'marker = "api"\npaths = ["tests/api"]\nretries = 2\n[types]\nload = false\n'
    )

    ran = sergas(root, "config", PROMETHEUS_GATEWAY="http://ci:hunter2@gateway:9091")

    assert (ran.status, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= max(80, len(f"root directory: {root}"))
    assert ran.out.startswith(f"root directory: {root}\nconfiguration:  sergas.toml\n\nsettings\n")
    for line in (
        '  project            "shop"                    name of the directory',
        "  timeout            60                        sergas.toml (test_timeout)",
        "  retries            (not set)                 default",
        "  strict             true                      sergas.toml",
        '  push               "http://***@gateway:9091" environment: PROMETHEUS_GATEWAY',
        "  integration     @pytest.mark.api, path tests/api",
        "    retries          2                         the type's table in [tool.sergas]",
        "    timeout          60                        [tool.sergas]",
        "  load            disabled",
    ):
        assert line in ran.out.splitlines()


def test_config_counts_what_addopts_and_the_engines_say(root: Path) -> None:
    (root / "pyproject.toml").write_text(
        '[tool.pytest]\naddopts = ["--reruns=3", "--sergas-ctrf=run.json"]\ntimeout = "45"\n', encoding="utf-8"
    )

    document = json.loads(sergas(root, "config", "--json").out)

    assert document["settings"]["ctrf"] == {
        "value": str(root / "run.json"),
        "source": "command line: --sergas-ctrf",
    }
    policy = document["types"]["unit"]["policy"]
    assert policy["retries"] == {"value": 3, "source": "command line or environment"}
    assert policy["timeout"] == {"value": 45.0, "source": "the engine's ini value"}


def test_config_agrees_with_what_pytest_reads(root: Path) -> None:
    (root / "sergas.toml").write_text("slowest = 7\n", encoding="utf-8")
    below = root / "tests"
    below.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    document = json.loads(sergas(below, "config", "--json").out)

    assert (document["root"], document["file"]) == (str(root), "sergas.toml")
    assert document["settings"]["slowest"] == {"value": 7, "source": "sergas.toml"}


def test_config_without_a_file_says_how_to_get_one(root: Path) -> None:
    assert "configuration:  no file; sergas init writes one\n" in sergas(root, "config").out


@pytest.mark.parametrize(
    ("addopts", "note"),
    [
        pytest.param("--no-sergas", "--no-sergas in addopts switches the plugin off", id="switched off"),
        pytest.param(
            "-p no:sergas",
            "pytest does not load the plugin here: a -p option, or PYTEST_DISABLE_PLUGIN_AUTOLOAD",
            id="not loaded",
        ),
        pytest.param("-p no:timeout", "pytest-timeout is not loaded here: timeouts have no effect", id="no timeouts"),
        pytest.param(
            "-p no:rerunfailures",
            "pytest-rerunfailures is not loaded here: retries have no effect",
            id="no retries",
        ),
    ],
)
def test_config_says_what_keeps_it_from_having_an_effect(root: Path, addopts: str, note: str) -> None:
    ran = sergas(root, "config", PYTEST_ADDOPTS=addopts)

    assert ran.status == 0
    assert f"\nNote: {note}\n" in ran.out


def test_wrong_configuration_is_all_faults_on_standard_error(root: Path) -> None:
    (root / "sergas.toml").write_text("timeuot = 1\nslowest = -1\n", encoding="utf-8")

    assert sergas(root, "config", "--json") == Ran(
        2,
        "",
        "sergas: 2 faults in the configuration\n"
        "  sergas.toml: timeuot = 1: unknown key; did you mean 'timeout'?\n"
        "  sergas.toml: slowest = -1: allowed: tests, a whole number from 0 to 100\n",
    )


@pytest.mark.usefixtures("mail")
def test_another_section_is_shown_by_the_same_code_without_its_secrets(root: Path) -> None:
    (root / "sergas.toml").write_text('[mail]\nhost = "mx"\npassword = "hunter2"\n', encoding="utf-8")
    readings = load_sections(read_file(root), ("", "mail"), environ={"SMTP_PORT": "587"})
    policies = resolve_all(readings[""].settings, NOTHING, NOTHING)

    shown = Shown(read_file(root), readings, policies)
    lines, document = list(shown.lines()), shown.document()

    start = lines.index("[mail]")
    assert lines[start + 1 : start + 5] == [
        '  host               "mx"                      sergas.toml',
        "  port               587                       environment: SMTP_PORT",
        "  tls                false                     default",
        '  password           "***"                     sergas.toml',
    ]
    assert document["sections"]["mail"]["password"] == {"value": "***", "source": "sergas.toml"}
    assert "hunter2" not in str(document)


WITH_MAIL = """
import sys
from pytest_sergas import cli, config
config.SECTIONS["mail"] = "tests.test_config:MAIL"
sys.exit(cli.main(["config"]))
"""


def test_faults_of_every_section_are_shown(root: Path) -> None:
    (root / "sergas.toml").write_text("slowest = -1\n[mail]\nport = 0\n", encoding="utf-8")

    result = subprocess.run(
        [sys.executable, "-c", WITH_MAIL],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTEST_ADDOPTS": ""},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert Ran(result.returncode, result.stdout, result.stderr) == Ran(
        2,
        "",
        "sergas: 2 faults in the configuration\n"
        "  sergas.toml: slowest = -1: allowed: tests, a whole number from 0 to 100\n"
        "  sergas.toml: [mail] port = 0: allowed: a port, a whole number from 1 to 65535\n",
    )


def test_policy_takes_the_command_line_before_the_file_and_ini_values_after_it() -> None:
    settings = Settings(
        retries=1,
        types={
            TestType.UNIT: TypeSettings(values={"timeout": 5.0, "retries": 9}),
            TestType.LOAD: TypeSettings(enabled=False),
        },
    )

    policies = resolve_all(
        settings,
        (Source.COMMAND_LINE, {"retries": 2}),
        (Source.ENGINE_INI, {"timeout": 7.0, "retry_delay": 3.0}),
    )

    assert list(policies) == [TestType.UNIT]
    found = {name: (choice.value, choice.source) for name, choice in policies[TestType.UNIT].choices.items()}
    assert found == {
        "retries": (2, Source.COMMAND_LINE),
        "timeout": (5.0, Source.TYPE_TABLE),
        "retry_delay": (3.0, Source.ENGINE_INI),
        "retry_on": ((), Source.BUILT_IN),
    }


def test_value_that_is_too_long_for_its_column_has_its_source_on_the_next_line(root: Path) -> None:
    gateway = f"http://gateway.example/{'a' * 60}"
    readings = load_sections(read_file(root), ("",), environ={"PROMETHEUS_GATEWAY": gateway})

    lines = list(Shown(read_file(root), readings, {}).lines())

    index = lines.index(f'  push               "{gateway}"')
    assert lines[index + 1] == f"{'':46} environment: PROMETHEUS_GATEWAY"


# pytest's own help, and markers


def test_pytest_help_explains_every_option(root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=root, check=True, capture_output=True, text=True, timeout=60
    )

    _, _, group = result.stdout.partition("\ntests by type (policies, records, publishing):\n")
    flat = " ".join(group.split("\n\n")[0].split())
    for text in (
        "--no-sergas switch pytest-sergas off for this run; the markers of the types stay known",
        "--sergas-strict a test without a type is an error, before anything runs",
        "--sergas-ctrf=FILE write the run to this file as CTRF (Common Test Report Format, JSON)",
        "--sergas-markdown=FILE write a summary of the run for people to this file",
        "--sergas-textfile=FILE write the run's metrics to this file, for the textfile collector of node_exporter",
        (
            "--sergas-durations=FILE|URL read and update the durations of the tests in this file, for machines "
            "that share it; or read them from the sidecar at this URL"
        ),
        "--sergas-shard=I/N run only this part of the suite, such as 2/5",
        "--sergas-push=URL push the run's metrics to the Pushgateway at this address",
        "--sergas-sidecar=URL send the run and its metrics to the sidecar at this address",
    ):
        assert text in flat


def test_markers_that_pytest_and_its_plugins_register_are_taken(pytester: pytest.Pytester) -> None:
    # Of the plugins that are installed here some do not come with us: they belong to the tools and the extras.
    strangers = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:time_machine")
    listed = pytester.runpytest_subprocess("--markers", "-p", "no:sergas", *strangers).outlines
    names = {
        line.removeprefix("@pytest.mark.").partition(":")[0].partition("(")[0] for line in listed if line[:1] == "@"
    }

    assert names == config.runs.TAKEN_MARKERS


def test_switched_off_plugin_leaves_the_markers_and_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", sergas="nonsense = 1\n")
    pytester.makepyfile("import pytest\n@pytest.mark.unit(nonsense=1)\ndef test_a(): pass")

    result = pytester.runpytest_subprocess("--no-sergas", "--strict-markers", "-W", "error", "--sergas-ctrf=run.json")

    result.assert_outcomes(passed=1)
    assert not (pytester.path / "run.json").exists()


def test_wrong_configuration_is_one_usage_error_of_pytest(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", sergas="timeuot = 1\n")
    pytester.makepyfile("def test_a(): pass")

    result = pytester.runpytest_subprocess("--sergas-ctrf=")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [
        "ERROR: sergas: 2 faults in the configuration",
        "  sergas.toml: timeuot = 1: unknown key; did you mean 'timeout'?",
        "  command line: --sergas-ctrf = '': allowed: text on one line, not empty, of at most 4096 characters",
    ]
