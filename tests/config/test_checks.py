"""``[[checks]]``: what every check has; what belongs to its kind is passed on as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.config import load, load_sections
from pytest_sergas.config.checks import CheckSettings, ChecksSettings
from pytest_sergas.config.file import read_file
from pytest_sergas.config.section import Reading
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


def read(root: Path, text: str) -> Reading[ChecksSettings]:
    (root / "sergas.toml").write_text(text, encoding="utf-8")
    return load_sections(read_file(root), ("checks",), environ={})["checks"]


def test_without_checks_this_machine_is_checked(tmp_path: Path) -> None:
    assert read(tmp_path, "").settings == ChecksSettings(10.0, 30.0, (), machine=True)
    assert read(tmp_path, "checks = []").settings == ChecksSettings(10.0, 30.0, (), machine=False)


def test_check_has_the_general_times_unless_it_has_its_own(tmp_path: Path) -> None:
    text = """
        health_check_timeout = 5
        health_check_interval = 15
        [[checks]]
        type = "tcp"
        host = "127.0.0.1"
        [[checks]]
        type = "system"
        name = "machine"
        timeout = 1
        interval = 60
        failures = 3
        successes = 2
        depends_on = "tcp"
    """

    assert read(tmp_path, text).settings == ChecksSettings(
        5.0,
        15.0,
        (
            CheckSettings("tcp", "tcp", 5.0, 15.0, options={"host": "127.0.0.1"}),
            CheckSettings("system", "machine", 1.0, 60.0, 3, 2, ("tcp",)),
        ),
    )


def test_two_checks_of_one_type_get_names_of_their_own(tmp_path: Path) -> None:
    text = """
        checks = [{type = "http"}, {type = "http", name = "http-2"}, {type = "http"}, {type = "tcp"}]
    """

    assert [check.name for check in read(tmp_path, text).settings.checks] == ["http", "http-2", "http-3", "tcp"]


def test_pyproject_holds_the_same(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.sergas]\nhealth_check_timeout = 5\n[[tool.sergas.checks]]\ntype = 'system'\n", encoding="utf-8"
    )
    settings = load_sections(read_file(tmp_path), ("checks",), environ={})["checks"].settings

    assert settings == ChecksSettings(5.0, 30.0, (CheckSettings("system", "system", 5.0),))


def test_plugin_judges_the_checks_too(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text(
        "health_check_interval = 'never'\nproject = 'shop'\n[[checks]]\ntype = 5\n", encoding="utf-8"
    )

    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, environ={})
    assert len(caught.value.faults) == 2


def test_sources_say_where_a_value_comes_from(tmp_path: Path) -> None:
    sources = read(tmp_path, "health_check_timeout = 5").sources

    assert sources["health_check_timeout"] == "sergas.toml"
    assert sources["health_check_interval"] == "default"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param(
            "checks = 5",
            ["sergas.toml: checks = 5: allowed: a list of tables, each of which begins with [[checks]]"],
            id="no list",
        ),
        pytest.param(
            "[checks]\ntype = 'http'",
            ["sergas.toml: checks = {type = ...}: allowed: a list of tables, each of which begins with [[checks]]"],
            id="a single table",
        ),
        pytest.param(
            "[[checks]]\nurl = 'http://shop'",
            ['sergas.toml: [checks] 1 = {url = ...}: has no type; say what is checked, such as type = "http"'],
            id="no type",
        ),
        pytest.param(
            (
                "[[checks]]\ntype = 'http'\nname = 'shop'\ntimeout = 0\nfailures = 0\n"
                "[[checks]]\ntype = 'tcp'\ninterval = 'x'"
            ),
            [
                (
                    "sergas.toml: [checks.shop] timeout = 0: allowed: seconds, more than 0 and at most 86400"
                    ", such as 90 or '1h30m'"
                ),
                "sergas.toml: [checks.shop] failures = 0: allowed: results, a whole number from 1 to 100",
                (
                    "sergas.toml: [checks.2] interval = 'x': allowed: seconds, more than 0 and at most 86400"
                    ", such as 90 or '1h30m'"
                ),
            ],
            id="values",
        ),
        pytest.param(
            "[[checks]]\ntype = 'http'\nname = 'a b'",
            [
                (
                    "sergas.toml: [checks.'a b'] name = 'a b': "
                    "allowed: a name of letters, digits and _.:/-, at most 100 characters"
                )
            ],
            id="a name",
        ),
        pytest.param(
            "[[checks]]\ntype = 'http'\nname = 'shop'\n[[checks]]\ntype = 'tcp'\nname = 'shop'",
            ["sergas.toml: [checks.shop] name = 'shop': is the name of another check already; give each its own"],
            id="a name twice",
        ),
        pytest.param(
            "health_check_timeout = -1",
            [
                (
                    "sergas.toml: health_check_timeout = -1: allowed: seconds, more than 0 and at most 86400"
                    ", such as 90 or '1h30m'"
                )
            ],
            id="general",
        ),
    ],
)
def test_what_cannot_be_used_is_a_fault(text: str, faults: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)

    assert list(raised.value.faults) == faults


def test_settings_show_no_option_when_they_are_printed() -> None:
    assert "hunter2" not in repr(CheckSettings("http", "shop", options={"url": "http://u:hunter2@shop"}))
