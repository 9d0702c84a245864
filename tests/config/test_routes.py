"""``[[routes]]`` and ``[[maintenance]]``: read into routes and windows, every fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.config import Judged, load_sections
from pytest_sergas.config.file import read_file
from pytest_sergas.config.routes import RoutesSettings
from pytest_sergas.core.routes import Escalation, Route
from pytest_sergas.core.series import Matcher
from pytest_sergas.core.silences import DAYS, Window
from pytest_sergas.engine.clock import offset_s
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


def read(root: Path, text: str) -> RoutesSettings:
    (root / "sergas.toml").write_text(text, encoding="utf-8")
    found = load_sections(read_file(root), ("routes",), environ={}, judged=Judged(channels=False))
    settings: RoutesSettings = found["routes"].settings
    return settings


def test_without_anything_there_are_no_routes(tmp_path: Path) -> None:
    assert read(tmp_path, "") == RoutesSettings(300.0, (), ())


def test_route_has_the_general_cooldown_unless_it_has_its_own(tmp_path: Path) -> None:
    text = """
        alert_cooldown = 60
        [[routes]]
        channels = "chat"
        [[routes]]
        name = "smoke"
        match = ['severity="critical"', 'type=~"smoke|e2e"']
        channels = ["on-call", "chat"]
        group_by = ["job", "type"]
        group_wait = 0
        group_interval = 10
        repeat_interval = 3600
        cooldown = 5
        escalate = [{after = 1800, channels = ["lead"]}]
        continue = true
    """

    assert read(tmp_path, text).routes == (
        Route("1", (), ("chat",), cooldown_s=60.0),
        Route(
            "smoke",
            (Matcher("severity", "=", "critical"), Matcher("type", "=~", "smoke|e2e")),
            ("on-call", "chat"),
            ("job", "type"),
            0.0,
            10.0,
            3600.0,
            5.0,
            (Escalation(1800.0, ("lead",)),),
            goes_on=True,
        ),
    )


def test_window_is_every_day_in_utc_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = """
        [[maintenance]]
        from = "22:00"
        to = "24:00"
        [[maintenance]]
        name = "backup"
        match = ["job=shop"]
        days = ["sat", "sun"]
        from = "01:30"
        to = "02:00"
        timezone = "Europe/Berlin"
    """

    assert read(tmp_path, text).maintenance == (
        Window("1", (), DAYS, 79_200.0, 86_400.0),
        Window("backup", (Matcher("job", "=", "shop"),), ("sat", "sun"), 5_400.0, 7_200.0, "Europe/Berlin"),
    )


def test_offset_of_a_time_zone_follows_summer_time() -> None:
    assert [offset_s("Europe/Berlin", wall_s) for wall_s in (1_700_000_000, 1_690_000_000)] == [3600, 7200]
    assert offset_s("UTC", 0) == 0


MATCHER = 'allowed: a label, one of = != =~ !~, and a value, such as severity="critical" or type=~"smoke|e2e"'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(
            "routes = 5", "routes = 5: allowed: a list of tables, each of which begins with [[routes]]", id="no list"
        ),
        pytest.param(
            "routes = [{match = 'a=b'}]",
            '[routes] 1 = {match = ...}: has no channels; such as channels = ["on-call"]',
            id="no channels",
        ),
        pytest.param("routes = [{channels = [], match = 'a'}]", f"[routes.1] match = 'a': {MATCHER}", id="no matcher"),
        pytest.param(
            "routes = [{channels = [], match = 'a=~('}]",
            "[routes.1] match = 'a=~(': not a regular expression of RE2: '(': missing ): (",
            id="expression",
        ),
        pytest.param(
            "routes = [{channels = [], chanels = []}]",
            "[routes.1] chanels = []: unknown key; did you mean 'channels'?",
            id="misspelt",
        ),
        pytest.param(
            "routes = [{channels = [], xyz = 1}]",
            "[routes.1] xyz = 1: unknown key; allowed: name, match, channels, group_by, group_wait, group_interval, "
            "repeat_interval, cooldown, escalate, continue",
            id="unknown",
        ),
        pytest.param(
            "routes = [{channels = [], name = 'a'}, {channels = [], name = 'a'}]",
            "[routes.a] name = 'a': is the name of another one already; give each its own",
            id="twice",
        ),
        pytest.param(
            "routes = [{channels = [], repeat_interval = 0}]",
            "[routes.1] repeat_interval = 0: allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'",
            id="no repeat interval",
        ),
        pytest.param(
            "routes = [{channels = [], escalate = [{after = 5}]}]",
            "[routes.1] escalate = [{after = ...}]: allowed: a list of tables such as "
            '[{after = 1800, channels = ["lead"]}]',
            id="escalation",
        ),
        pytest.param(
            "routes = [{channels = [], escalate = 5}]",
            '[routes.1] escalate = 5: allowed: a list of tables such as [{after = 1800, channels = ["lead"]}]',
            id="escalation is no list",
        ),
        pytest.param(
            "routes = [{channels = [], group_by = ['a-b']}]",
            "[routes.1] group_by = ['a-b']: allowed: names of labels",
            id="label",
        ),
        pytest.param(
            "maintenance = [{from = '22:00'}]",
            '[maintenance] 1 = {from = ...}: has no to; such as to = "02:00"',
            id="no end",
        ),
        pytest.param(
            "maintenance = [{from = '25:00', to = '02:00'}]",
            '[maintenance.1] from = \'25:00\': allowed: a time of the day such as "22:00", from "00:00" to "24:00"',
            id="time",
        ),
        pytest.param(
            "maintenance = [{from = '22:00', to = '02:00', days = ['saturday']}]",
            "[maintenance.1] days = ['saturday']: allowed: 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'",
            id="day",
        ),
        pytest.param(
            "maintenance = [{from = '22:00', to = '02:00', timezone = '../etc/passwd'}]",
            '[maintenance.1] timezone = \'../etc/passwd\': allowed: a time zone such as "Europe/Berlin", or "UTC"',
            id="time zone",
        ),
    ],
)
def test_fault_names_place_value_and_what_is_allowed(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)

    assert caught.value.faults == (f"sergas.toml: {fault}",)
