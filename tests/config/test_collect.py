"""The section [collect]: its defaults, its targets, and everything that is said about what cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sergas.config import load_sections
from pytest_sergas.config.collect import KEYS, TARGET_KEYS, CollectSettings, Target
from pytest_sergas.config.file import read_file
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit

LABELS = "allowed: letters, digits and _, not starting with a digit or __"


def settings(root: Path, text: str) -> CollectSettings:
    (root / "sergas.toml").write_text(text, encoding="utf-8")
    found: CollectSettings = load_sections(read_file(root), ("collect",), environ={})["collect"].settings
    return found


def faults(root: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        settings(root, text)
    return [fault.removeprefix("sergas.toml: ") for fault in raised.value.faults]


def target(root: Path, text: str) -> Target:
    [only] = settings(root, f"[[collect.targets]]\n{text}\n").targets
    return only


def test_nothing_configured_is_the_defaults(tmp_path: Path) -> None:
    assert settings(tmp_path, "") == CollectSettings()


@pytest.mark.parametrize("key", ["interval", "timeout", "retention", "max_age", "max_endpoints", "duration_sampling"])
def test_example_of_a_key_is_its_default(tmp_path: Path, key: str) -> None:
    assert settings(tmp_path, f"[collect]\n{key} = {KEYS[key].example}\n") == CollectSettings()


def test_names_of_the_specification_are_our_keys(tmp_path: Path) -> None:
    found = settings(tmp_path, "monitoring_interval = 30.0\nmetrics_retention = 500\n")

    assert (found.interval, found.retention) == (30.0, 500)


def test_target_needs_its_url_alone(tmp_path: Path) -> None:
    assert target(tmp_path, 'url = "http://db1:9100/metrics"') == Target(
        url="http://db1:9100/metrics", job="scrape", instance="db1:9100", labels={}
    )


@pytest.mark.parametrize(
    ("url", "asked", "instance"),
    [
        pytest.param("http://db1:9100", "http://db1:9100/metrics", "db1:9100", id="path of every exporter"),
        pytest.param("http://db1", "http://db1/metrics", "db1:80", id="port of http"),
        pytest.param("https://db1/m?a=b", "https://db1/m?a=b", "db1:443", id="port of https, query"),
        pytest.param("http://[::1]:9100/m", "http://[::1]:9100/m", "[::1]:9100", id="IPv6"),
    ],
)
def test_instance_is_host_and_port_of_the_url(tmp_path: Path, url: str, asked: str, instance: str) -> None:
    found = target(tmp_path, f'url = "{url}"')

    assert (found.url, found.instance) == (asked, instance)


def test_target_says_everything_itself(tmp_path: Path) -> None:
    text = """\
url = "https://db1/metrics"
job = "node"
instance = "db1"
labels = {team = "shop"}
interval = 5
timeout = 2
max_mb = 0.5
username = "prometheus"
password_file = "password"
ca_file = "ca.pem"
"""

    assert target(tmp_path, text) == Target(
        url="https://db1/metrics",
        job="node",
        instance="db1",
        labels={"team": "shop"},
        interval=5.0,
        timeout=2.0,
        max_mb=0.5,
        username="prometheus",
        password_file="password",  # noqa: S106  the name of a file
        ca_file="ca.pem",
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param(
            "interval = 0",
            "interval = 0: allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'",
            id="no interval",
        ),
        pytest.param(
            "timeout = -1",
            "timeout = -1: allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'",
            id="negative timeout",
        ),
        pytest.param(
            "retention = 1",
            "retention = 1: allowed: samples, a whole number from 2 to 10000000",
            id="too few samples",
        ),
        pytest.param(
            "max_age = 10",
            "max_age = 10: allowed: seconds, at least 300 and at most 31622400, such as 90 or '1h30m'",
            id="less than a look-back",
        ),
        pytest.param(
            'custom = ["shop.metrics"]',
            "custom = ['shop.metrics']: allowed: a function or a class as MODULE:NAME, such as shop.metrics:collect",
            id="no name",
        ),
        pytest.param("targets = 5", "targets = 5: allowed: a table for each page, [[collect.targets]]", id="no tables"),
        pytest.param("intervall = 5", "intervall = 5: unknown key; did you mean 'interval'?", id="unknown"),
        pytest.param(
            'token_file = "x"',
            "token_file = '***': unknown key; it belongs to a target, [[collect.targets]] token_file",
            id="key of a target",
        ),
    ],
)
def test_fault_of_the_section_says_what_is_allowed(tmp_path: Path, line: str, fault: str) -> None:
    assert faults(tmp_path, f"[collect]\n{line}\n") == [f"[collect] {fault}"]


URL = 'url = "http://db1/metrics"\n'
NO_URL = "allowed: the URL of a page of metrics, such as http://127.0.0.1:9100/metrics"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param('job = "node"', "url = '': a target needs the URL of its page", id="no url"),
        pytest.param('url = "db1:9100"', f"url = 'db1:9100': {NO_URL}", id="no scheme"),
        pytest.param('url = "http://db1:x/"', f"url = 'http://db1:x/': {NO_URL}", id="no port"),
        pytest.param('url = "ftp://db1/"', f"url = 'ftp://db1/': {NO_URL}", id="another scheme"),
        pytest.param(
            'url = "http://user:secret@db1/metrics"',
            "url = 'http://***@db1/metrics': credentials do not belong into the URL; "
            "use username and password_file, or token_file",
            id="credentials",
        ),
        pytest.param(
            f'{URL}labels = {{a-b = "x"}}',
            'labels = {a-b = ...}: allowed: a table of labels and their values, such as {team = "shop"}',
            id="label name",
        ),
        pytest.param(
            f'{URL}labels = {{job = "x"}}',
            "labels = {job = ...}: job has a key of its own; write it there",
            id="label with a key of its own",
        ),
        pytest.param(f"{URL}jop = 5", "jop = 5: unknown key; did you mean 'job'?", id="unknown key"),
        pytest.param(
            f'{URL}username = "me"', "username = 'me': of no use without password_file", id="user without password"
        ),
        pytest.param(
            f'{URL}password_file = "p"', "password_file = 'p': of no use without username", id="password without user"
        ),
        pytest.param(
            f'{URL}username = "me"\npassword_file = "p"\ntoken_file = "t"',
            "token_file = 't': there is a username as well; keep one",
            id="two credentials",
        ),
        pytest.param(f"{URL}max_mb = 0", "max_mb = 0: allowed: MB, more than 0 and at most 1000", id="no size"),
    ],
)
def test_fault_of_a_target_says_which_and_what_is_allowed(tmp_path: Path, text: str, fault: str) -> None:
    good = '[[collect.targets]]\nurl = "http://db0/metrics"\n'

    assert faults(tmp_path, f"{good}[[collect.targets]]\n{text}\n") == [f"[collect.targets.2] {fault}"]


def test_all_faults_are_said_together(tmp_path: Path) -> None:
    text = '[collect]\ninterval = 0\n[[collect.targets]]\nurl = 5\n[[collect.targets]]\nurl = "http://a"\ntimeout = 0\n'

    assert [fault.partition(" = ")[0] for fault in faults(tmp_path, text)] == [
        "[collect] interval",
        "[collect.targets.1] url",
        "[collect.targets.2] timeout",
    ]


def test_two_targets_with_the_same_labels_are_refused(tmp_path: Path) -> None:
    text = "".join(f'[[collect.targets]]\nurl = "http://db1/{path}"\n' for path in ("a", "b"))

    place, _, text = faults(tmp_path, text)[0].partition(": ")

    assert place == "[collect.targets.2] url = 'http://db1/b'"
    assert text == "job, instance and labels are those of another target; change one of them"


def test_sergas_config_shows_targets(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text(f"[[collect.targets]]\n{URL}", encoding="utf-8")

    def sergas_config(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest_sergas", "config", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout

    shown_lines = sergas_config().splitlines()
    start = shown_lines.index("[[collect.targets]]")
    assert [line.split()[:3] for line in shown_lines[start + 1 : start + 5]] == [
        ["url", '"http://db1/metrics"', "sergas.toml"],
        ["job", '"scrape"', "sergas.toml"],
        ["instance", '"db1:80"', "sergas.toml"],
        ["max_mb", "10", "sergas.toml"],
    ]
    [shown] = json.loads(sergas_config("--json"))["sections"]["collect"]["targets"]["value"]
    assert shown == {
        "url": "http://db1/metrics",
        "job": "scrape",
        "instance": "db1:80",
        "max_mb": 10.0,
    }


def test_keys_of_a_target_are_the_fields_of_a_target() -> None:
    assert list(TARGET_KEYS) == list(Target.__dataclass_fields__)


def test_keys_of_the_section_are_the_fields_of_its_settings() -> None:
    assert list(KEYS) == list(CollectSettings.__dataclass_fields__)
