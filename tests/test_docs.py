"""The README: its tour is executed, and its tables are compared with the code in both directions.

In the tour, a block that begins with a comment that names a file is that file; in a console block, the
lines that begin with ``$`` are commands, and what follows is what they print. There ``...`` stands for
anything, and durations are compared as durations, not by their length; the slowest tests, and the note that workers
were no gain, are not compared, because a fast machine has neither. The Pushgateway is a real one.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import pytest_sergas
from pytest_sergas import channels, checks, cli, collectors, config
from pytest_sergas.checks import postgresql, redis, sqlite
from pytest_sergas.collectors.container import Container
from pytest_sergas.config import collect, groups, rules, serve
from pytest_sergas.config.channels import CHANNELS
from pytest_sergas.config.channels import COMMON as CHANNEL_COMMON
from pytest_sergas.config.checks import CHECKS, COMMON
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.config.file import read_file
from pytest_sergas.config.routes import ROUTE_KEYS, ROUTES, WINDOW_KEYS
from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import HELP, Sample
from pytest_sergas.core.monitoring import families_of
from pytest_sergas.core.policy import MARKER_KEYWORDS
from pytest_sergas.core.records import Outcome, TestType
from pytest_sergas.core.routes import Route
from pytest_sergas.engine import alert_figures, checking, clock, outbox, rule_files
from pytest_sergas.engine.collection import Collection
from pytest_sergas.engine.groups import FAILED, PUSHED, Groups
from pytest_sergas.engine.history import History
from pytest_sergas.engine.rules import HELP as rule_metrics  # noqa: N811
from pytest_sergas.engine.store import Store
from pytest_sergas.publishers import GROUP, endpoint
from pytest_sergas.sidecar.openapi import document
from tests.servers.process import get
from tests.servers.pushgateway import pushgateway
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
GATEWAY = "http://127.0.0.1:9091"
# What the surrounding run says to pytest and its plugins is not meant for the tour.
INHERITED = ("PYTEST_ADDOPTS", "PYTEST_TIMEOUT", "PYTEST_XDIST_WORKER", "GITHUB_ACTIONS", "PROMETHEUS_GATEWAY")

_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.(?:py|toml|yml))\n")
_DURATION = re.compile(r"(<1 ms|\d+(?:\.\d+)? m?s|\d+\.\d+s)\b")
_NO_GAIN = re.compile(r"^note: parallel was no gain.*\n(?:  .*\n)*", re.MULTILINE)
_RULE = re.compile(r"={5,}|-{5,}")
_FRAMED = re.compile(r"^(=+|-+) (.*?) (=+|-+)$", re.MULTILINE)


def section(title: str) -> str:
    """Return what stands below the heading ``title``, up to the next heading."""
    headings = [found for found in _HEADING.finditer(README) if "\n```" not in found[0]]
    start = next(index for index, found in enumerate(headings) if found[1] == title)
    end = headings[start + 1].start() if start + 1 < len(headings) else len(README)
    return README[headings[start].end() : end]


def first_cells(title: str) -> list[str]:
    """Return what stands in code in the first cell of each row of the tables of a section."""
    rows = re.findall(r"^\| (.+?) \|", section(title), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^` =]+)[^`]*`", row)]


def row(title: str, name: str) -> str:
    """Return the row of a table that begins with ``name``."""
    return next(line for line in section(title).splitlines() if line.startswith(f"| `{name}`"))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that this block is, or "" for none."""
        found = _FILE.match(self.text)
        return found[1] if found else ""

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command with the output that is promised."""
        parts = re.split(r"^\$ (.+)\n", self.text, flags=re.MULTILINE)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))


def chapter(title: str) -> list[Block]:
    start = README.index(f"## {title}\n")
    end = README.index("\n## ", start)
    return [Block(language, text) for language, text in _BLOCK.findall(README[start:end])]


def comparable(output: str) -> str:
    """Return ``output`` without what differs from run to run: durations, and the width of what stands round them."""
    text = _DURATION.sub("TIME", _NO_GAIN.sub("", output))
    text = _FRAMED.sub(lambda found: f"{found[1][0]} {found[2]} {found[3][0]}", text)
    lines = (re.sub(r" +", " ", line).rstrip() for line in text.splitlines() if not line.startswith("slowest: "))
    return "\n".join(lines).strip("\n")


def matches(expected: str, output: str) -> bool:
    pattern = re.escape(comparable(expected)).replace(re.escape("..."), ".*?")
    return re.fullmatch(pattern, comparable(output), re.DOTALL) is not None


def test_tour_prints_what_the_readme_shows(tmp_path: Path) -> None:
    bin_directory = str(Path(sys.executable).parent)
    environ = {name: value for name, value in os.environ.items() if name not in INHERITED}
    environ["PATH"] = f"{bin_directory}{os.pathsep}{environ['PATH']}"
    environ["COLUMNS"] = "80"
    project = tmp_path / "shop"
    project.mkdir()
    commands = 0
    with pushgateway(tmp_path) as gateway:
        for block in chapter("Two minutes"):
            if block.file:
                file = project / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
                continue
            assert block.language == "console", block.text
            for command, expected in block.commands:
                arguments = shlex.split(command.replace(GATEWAY, gateway.url))
                done = subprocess.run(
                    arguments, cwd=project, env=environ, capture_output=True, text=True, check=False, timeout=60
                )
                output = (done.stdout + done.stderr).replace(gateway.url, GATEWAY).replace(f"{project}/", "")
                assert matches(expected, output), f"$ {command}\n{output}"
                commands += 1
        assert gateway.groups

    assert commands >= 3


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        pytest.param("1 passed in 0.01s\n", "1 passed in 12.30s\n", True, id="durations"),
        pytest.param("==== 1 passed in 0.01s ====\n", "=== 1 passed in 12.30s ===\n", True, id="frames"),
        pytest.param("a\n...\nb\n", "a\nx\ny\nb\n", True, id="anything"),
        pytest.param("1 passed\n", "2 passed\n", False, id="numbers"),
        pytest.param("a\n", "a\nb\n", False, id="more than promised"),
        pytest.param("a.b\n", "axb\n", False, id="a dot is a dot"),
    ],
)
def test_outputs_are_compared_but_for_their_durations(expected: str, output: str, same: bool) -> None:  # noqa: FBT001
    assert matches(expected, output) is same


def test_readme_opens_with_the_two_commands_that_need_nothing_else() -> None:
    before_the_first_section = README.partition("\n## ")[0]

    assert "make demo" in before_the_first_section
    assert "make test" in before_the_first_section


def test_types_are_documented() -> None:
    assert first_cells("Types and policies") == [test_type.value for test_type in TestType]


def test_marker_keywords_are_documented() -> None:
    assert first_cells("Marker keywords") == list(MARKER_KEYWORDS)


def test_configuration_keys_are_documented() -> None:
    assert first_cells("Configuration") == list(config.KEYS)


def test_keys_of_a_type_are_documented() -> None:
    documented = first_cells("Keys of a type")

    assert documented == [key for key in config.TYPE_KEYS if key not in MARKER_KEYWORDS]


def test_other_names_of_keys_are_documented() -> None:
    names = {name for part in config.SECTIONS for name in config.find(part).names}

    assert set(first_cells("Names from elsewhere")) == names


def test_environment_variables_are_documented() -> None:
    variables = {name for part in config.SECTIONS for name in config.find(part).environment}

    assert set(first_cells("Environment variables")) == {
        *variables,
        endpoint.USERNAME,
        endpoint.PASSWORD,
        endpoint.TOKEN,
    }


def test_options_are_documented() -> None:
    done = subprocess.run([sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True)

    assert first_cells("Options") == re.findall(r"^  (--(?:no-)?sergas[a-z-]*)", done.stdout, re.MULTILINE)


def test_commands_are_documented() -> None:
    assert re.findall(r"^\| `sergas (\w+)", section("Commands"), re.MULTILINE) == cli.command_names()


def test_metrics_are_documented() -> None:
    assert first_cells("Metrics") == list(HELP)


def test_keys_of_pushed_groups_are_documented_with_their_defaults() -> None:
    title, defaults = "Keys of pushed groups", groups.GroupSettings()

    assert first_cells(title) == list(groups.KEYS)
    for name in groups.KEYS:
        if found := re.search(r"default ([0-9]+)", row(title, name)):
            assert getattr(defaults, name) == float(found[1])


def test_metrics_of_pushing_are_documented() -> None:
    async def names() -> set[str]:
        store = await Store.open(None, groups.GroupSettings())
        try:
            pushed = await Groups.load(store, groups.GroupSettings(), Now(0.0, 0.0))
            families = (*store.families(Now(0.0, 0.0)), *pushed.families(Now(0.0, 0.0)))
        finally:
            await store.close()
        return {family.name for family in families}

    assert set(first_cells("Metrics of pushing")) == {PUSHED, FAILED, *asyncio.run(names())}


def test_keys_of_serving_are_documented_with_their_defaults() -> None:
    title, defaults = "Keys of serving", serve.ServeSettings()

    assert first_cells(title) == list(serve.KEYS)
    for name, key in serve.KEYS.items():
        if found := re.search(r"default `?([^`|]+?)`? \|", row(title, name)):
            assert found[1] == f"{getattr(defaults, name)}".removesuffix(".0")
            assert key.example.strip('"') == found[1]


def test_paths_of_the_sidecar_are_documented() -> None:
    described = re.findall(r"`(GET|POST|DELETE) (\S+)`", section("Serving"))
    promised = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}

    assert set(described) == promised - {("GET", "/health")}  # which has a section of its own


def test_metrics_of_serving_are_documented(tmp_path: Path) -> None:
    with sidecar(tmp_path, "--store", ":memory:") as running:
        page = get(f"{running.url}/metrics")

    for name in first_cells("Metrics of serving"):
        assert f"# TYPE {name} {re.split(' *[|] *', row('Metrics of serving', name))[2]}\n" in page


def test_keys_of_collecting_are_documented() -> None:
    assert first_cells("Keys of collecting") == list(collect.KEYS)


def test_keys_of_a_target_are_documented() -> None:
    assert first_cells("Keys of a target") == list(collect.TARGET_KEYS)


def test_defaults_of_collecting_are_those_that_the_readme_names() -> None:
    defaults = collect.CollectSettings()
    for name in collect.KEYS:
        if found := re.search(r"default ([0-9]+)", row("Keys of collecting", name)):
            assert getattr(defaults, name) == float(found[1])


def test_collectors_are_documented() -> None:
    assert sorted(first_cells("Collectors")) == sorted(entry_points(group=collectors.GROUP).names)


def test_collector_of_the_readme_works_with_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = README[README.index("### Collectors") : README.index("### Collected metrics")]
    for _, text in _BLOCK.findall(about):
        found = _FILE.match(text)
        assert found, text
        (tmp_path / found[1]).parent.mkdir(exist_ok=True)
        (tmp_path / found[1]).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    settings = config.load_sections(read_file(tmp_path), ("collect",), environ={})["collect"].settings
    context = collectors.Context(settings, tmp_path, {})
    made = {source.name: source for source in collectors.find_all(context)}

    assert made["scrape node 127.0.0.1:9100"].target == (("instance", "127.0.0.1:9100"), ("job", "node"))
    [family] = families_of(made["shop.metrics:collect"].collector.collect(lambda: 60.0))
    assert (family.name, family.samples) == ("business_conversion_rate", (Sample((("shop", "berlin"),), 2.5),))


def test_collected_metrics_are_documented_with_their_types(tmp_path: Path) -> None:
    for name, text in {
        "memory.current": "1",
        "memory.max": "2",
        "memory.events": "oom_kill 0\n",
        "cpu.max": "1 1",
        "cpu.stat": "usage_usec 1\nthrottled_usec 1\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    context = collectors.Context(CollectSettings(), tmp_path, {})
    names = {"system", "disk", "process", "http_requests"}
    found = [source.collector for source in collectors.find_all(context) if source.name in names]
    families = [
        family
        for collector in (*found, Container(tmp_path, tmp_path))
        for family in families_of(collector.collect(lambda: 60.0))
    ]
    families += Collection((), clock=clock.read).families(clock.read())
    families += History(limit=2, max_age_s=300).families(clock.read())

    documented = {
        name: cells[1]
        for line in section("Collected metrics").splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0].startswith("`")
        for name in re.findall(r"`([^`]+)`", cells[0])
    }
    assert documented == {family.name: family.type for family in families}


def test_outcomes_are_documented() -> None:
    assert first_cells("Outcomes") == [outcome.value for outcome in Outcome]


def test_publishers_are_documented() -> None:
    assert sorted(first_cells("Publishers")) == sorted(entry_points(group=GROUP).names)


def test_checks_are_documented() -> None:
    assert sorted(first_cells("Checks")) == sorted(entry_points(group=checks.GROUP).names)


def test_keys_of_checking_are_documented() -> None:
    assert first_cells("Keys of checking") == list(CHECKS.keys)
    assert first_cells("Keys of a check") == list(COMMON)


def test_keys_of_routes_are_documented_with_their_defaults() -> None:
    assert first_cells("Keys of routes") == list(ROUTES.keys)
    assert first_cells("Keys of a route") == list(ROUTE_KEYS)
    assert first_cells("Keys of a maintenance window") == list(WINDOW_KEYS)
    for name, attribute in {
        "group_wait": "group_wait_s",
        "group_interval": "group_interval_s",
        "repeat_interval": "repeat_interval_s",
    }.items():
        found = re.search(r"default ([0-9]+)", row("Keys of a route", name))
        assert found, name
        assert getattr(Route(), attribute) == float(found[1])


def test_metrics_of_alerting_are_documented_with_their_types() -> None:
    title, described = "Metrics of alerting", {**alert_figures.HELP, **outbox.HELP}

    assert set(first_cells(title)) == set(described)
    assert {name: row(title, name).split(" | ")[1] for name in described} == {
        name: kind for name, (kind, _) in described.items()
    }


def test_options_of_checks_are_documented() -> None:
    documented = first_cells("Options of a check")

    assert documented == [f"{name}.{key}" for name in first_cells("Checks") for key in options_of(checks.GROUP, name)]


def options_of(group: str, name: str) -> list[str]:
    """Return the options of a kind of check or channel."""
    (entry,) = entry_points(group=group, name=name)
    return list(import_module(entry.module).KEYS)


def test_channels_are_documented() -> None:
    assert sorted(first_cells("Channels")) == sorted(entry_points(group=channels.GROUP).names)


def test_keys_of_channels_are_documented() -> None:
    assert first_cells("Keys of channels") == list(CHANNELS.keys)
    assert first_cells("Keys of a channel") == list(CHANNEL_COMMON)


def test_options_of_channels_are_documented() -> None:
    documented = first_cells("Options of a channel")

    assert documented == [
        f"{name}.{key}" for name in first_cells("Channels") for key in options_of(channels.GROUP, name)
    ]


def test_keys_of_rules_are_documented() -> None:
    assert first_cells("Keys of rules") == list(rules.KEYS)


def test_metrics_of_rules_are_documented() -> None:
    assert first_cells("Metrics of rules") == list(rule_metrics)


def test_rules_of_the_readme_are_taken(tmp_path: Path) -> None:
    start = README.index("## Rules\n")
    for _, text in _BLOCK.findall(README[start : README.index("### Metrics of rules")]):
        found = _FILE.match(text)
        assert found, text
        (tmp_path / found[1]).parent.mkdir(exist_ok=True)
        (tmp_path / found[1]).write_text(text, encoding="utf-8")
    settings = config.load_sections(read_file(tmp_path), ("rules",), environ={})["rules"].settings

    assert rule_files.plan(settings, tmp_path, "", 86_400).groups[0].rules[0].name == "SmokeTestsFailed"


def test_metrics_of_checks_are_documented() -> None:
    measured = [name for name, *_ in (*postgresql.FIGURES, *redis.FIGURES)]

    assert set(first_cells("Health metrics")) == {*checking.HELP, *measured, *sqlite.FIGURES}


def test_public_names_are_documented() -> None:
    assert sorted(first_cells("Public names")) == sorted(pytest_sergas.__all__)


def test_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)

    assert len(pictures) == 2
    assert all(0 < (ROOT / picture).stat().st_size < 100_000 for picture in pictures)
