"""The pages of alerts and silences: what fires, why somebody was told or not, what a silence would hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pytest_sergas.core.alerts import Reason
from pytest_sergas.core.delivery import Why
from pytest_sergas.engine.alert_history import Event
from pytest_sergas.sidecar.pages.alerts import WHY, explain
from tests.servers.process import until
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask
from tests.sidecar.pages import made
from tests.sidecar.pages.html import Element, read, visit
from tests.sidecar.pages.served import Served, alert, served

pytestmark = pytest.mark.integration

FAILING = alert("TestsFailing", "critical", 3.0, type="unit", summary="3 unit tests fail")
FULL = alert("DiskFull", "warning", 91.5, mountpoint="/", summary="The disk is full")

RULES = """\
groups:
- name: shop
  rules:
  - {alert: High, expr: "load > 5", labels: {severity: critical}}
  - {alert: Full, expr: "disk > 5", labels: {severity: warning}}
"""
CHANNELS = """\
[rules]
files = ["shop.yml"]
ready_made = []

[[channels]]
type = "log"
name = "log"

[[channels]]
type = "webhook"
name = "team"
url = "http://127.0.0.1:1"

[[routes]]
channels = ["log", "team"]
group_wait = 0
"""


@pytest.fixture
def firing(tmp_path: Path) -> Iterator[Served]:
    """A sidecar in which two alerts fire."""
    with served(tmp_path) as running:
        running.finds(FAILING, FULL)
        yield running


def get(running: Served, path: str, status: int = 200) -> Element:
    reply = ask(running.url, path)
    assert reply.status == status, reply.text
    return read(reply.text)


def post(running: Served, path: str, **fields: str) -> int:
    return ask(running.url, path, "POST", body=urlencode(fields).encode()).status


def items(element: Element) -> list[str]:
    return [item.text for item in element.all("ul")[0].all("li")]


def test_alerts_are_listed_the_worst_first_with_what_they_say(firing: Served) -> None:
    first, second = items(get(firing, "/alerts"))

    assert first.startswith("TestsFailing critical 3 unit tests fail fires for ")
    assert " · value 3 · no route takes it " in first
    assert second.startswith("DiskFull warning The disk is full fires for ")


def test_quiet_sidecar_says_that_nothing_fires(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        page = get(running, "/alerts")

        assert page.all("p")[1].text == "Nothing fires."
        assert get(running, "/").section("Alerts").text == "Nothing fires. Silences and history"


def test_rules_that_are_warming_up_are_named(tmp_path: Path) -> None:
    rule = '{alert: Slow, expr: "avg_over_time(load[1h]) > 5"}'
    (tmp_path / "shop.yml").write_text(f"groups: [{{name: shop, rules: [{rule}]}}]", "utf-8")
    settings = '[rules]\nfiles = ["shop.yml"]\nready_made = []\nevaluation_interval = 0.1\n'
    (tmp_path / "sergas.toml").write_text(settings, "utf-8")
    with sidecar(tmp_path, "--store", ":memory:") as running:
        until(lambda: "warming up" in ask(running.url, "/alerts").text, "the first evaluation")

        section = read(ask(running.url, "/alerts").text).section("Rules that are warming up")
        [rule_of_api] = json.loads(ask(running.url, "/api/rules").text)["rules"]
    assert re.fullmatch(r"Slow shop, for another (1h 00m|59m \d\ds)", section.all("li")[0].text)
    assert 3_500 < rule_of_api["warming_up_s"] <= 3_600.001  # a difference of two times


def test_overview_shows_what_fires(firing: Served) -> None:
    page = get(firing, "/")

    assert page.all("h1")[0].text == "2 things need a look"
    assert items(page) == ["critical TestsFailing", "warning DiskFull"]
    assert items(page.section("Alerts"))[0].startswith("TestsFailing critical 3 unit tests fail")


def test_of_many_alerts_the_worst_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        running.finds(*(alert(f"A{number:03}") for number in range(149)), alert("Worst", "critical"))

        alerts = get(running, "/alerts")
        assert items(alerts)[0].startswith("Worst critical ")
        assert len(items(alerts)) == 100
        assert "and 50 more" in alerts.text
        overview = get(running, "/")
        assert len(items(overview.section("Alerts"))) == 6
        assert overview.links()["All 150 alerts, silences and history"] == "/alerts"
        held = get(running, "/alerts/silence?" + urlencode({"matchers": 'severity="warning"'}))
        assert "and 49 more" in held.section("It would hold 149 alerts now").text


def test_history_says_what_happened_and_why(firing: Served) -> None:
    firing.finds(FULL)
    rows = get(firing, "/alerts").section("History").rows()

    assert rows[0][1:] == ["TestsFailing critical", "ended: its condition does not hold any more", "-"]
    assert sorted(row[1] for row in rows[1:]) == ["DiskFull warning", "TestsFailing critical"]
    assert {row[2] for row in rows[1:]} == {"began to fire: its condition holds"}


def test_history_says_who_was_told_who_was_not_and_what_came_of_it(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text(RULES, "utf-8")
    with sidecar(tmp_path, config=CHANNELS) as running:
        fields = {"matchers": 'alertname="Full"', "comment": "known"}
        assert ask(running.url, "/alerts/silence", "POST", body=urlencode(fields).encode()).status == 303
        assert ask(running.url, "/metrics/job/shop", "POST", body=b"load 7\ndisk 7\n").status == 200

        def rows() -> list[list[str]]:
            return [row[1:] for row in visit(running, "/alerts").section("History").rows()]

        until(lambda: re.search("[0-9] attempts", str(rows())), "the team was tried again", running.log)
        found = rows()
        [silence] = json.loads(ask(running.url, "/api/silences").text)["silences"]

    silenced = f"not told: it is silenced (silence {silence['id']})"
    *told, tried = sorted(found)
    assert told == [
        ["Full warning", "began to fire: its condition holds", "-"],
        ["Full warning", f"log is {silenced}", "-"],
        ["Full warning", f"team is {silenced}", "-"],
        ["High critical", "began to fire: its condition holds", "-"],
        ["High critical", "log is told: it is new", "delivered"],
    ]
    assert tried[1] == "team is told: it is new"
    assert re.fullmatch("waiting, [0-9] attempts http://127.0.0.1:1: All connection attempts failed", tried[2])


def test_history_of_one_alert_or_level_is_shown(firing: Served) -> None:
    assert [row[1] for row in get(firing, "/alerts?name=DiskFull").section("History").rows()] == ["DiskFull warning"]
    assert [row[1] for row in get(firing, "/alerts?level=critical").section("History").rows()] == [
        "TestsFailing critical"
    ]
    assert get(firing, "/alerts?level=x", 400).all("p")[1].text == "level: allowed: info, warning, error, critical"


def test_every_reason_has_words() -> None:
    assert set(WHY) == {*map(str, Why), *map(str, Reason)}


@pytest.mark.parametrize(
    ("event", "why", "detail", "channel", "sentence"),
    [
        ("told", "severity_rise", "", "chat", "chat is told: it has become worse"),
        ("not_told", "silenced", "silence 1", "chat", "chat is not told: it is silenced (silence 1)"),
        ("not_told", "cooldown", "new", "chat", "chat is not told: it was told shortly before (it is new)"),
        ("not_told", "no_route", "", "", "nobody is told: no route takes it"),
        ("resolved", "series_gone", "", "", "ended: its series are not there any more"),
        ("told", "not_yet_known", "", "chat", "chat is told: not yet known"),
    ],
)  # fmt: skip
def test_event_is_a_sentence(event: str, why: str, detail: str, channel: str, sentence: str) -> None:
    assert explain(Event(0.0, event, why, detail, "", "A", "warning", (), 1.0, channel, None)) == sentence


def test_alert_leads_to_a_silence_of_its_own_labels(firing: Served) -> None:
    page = get(firing, get(firing, "/alerts").links()["Silence it …"])

    assert page.section("It would hold 1 alert now")
    assert page.all("textarea")[0].text == 'alertname="DiskFull" mountpoint="/" severity="warning"'


def test_silence_shows_what_it_would_hold_and_changes_nothing(firing: Served) -> None:
    page = get(firing, "/alerts/silence?" + urlencode({"matchers": 'severity=~"warn.*"', "hours": "1"}))

    assert [item.split(" ")[0] for item in items(page.section("It would hold 1 alert now"))] == ["DiskFull"]
    assert firing.engine.alerting.silences() == []


def test_silence_of_nothing_that_fires_says_so(firing: Served) -> None:
    page = get(firing, "/alerts/silence?" + urlencode({"matchers": 'alertname="Other"'}))

    assert (
        page.section("It would hold 0 alerts now")
        .all("p")[0]
        .text.startswith("Nothing that fires or is pending matches; it would hold what comes until 20")
    )


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"matchers": "nothing"}, "matchers: 'nothing': allowed: a label, one of = != =~ !~, and a value"),
        ({"matchers": 'a=~"("'}, "matchers: 'a=~\"(\"': not a regular expression of RE2"),
        ({"matchers": 'a!="b"'}, "matchers: they match every alert; at least one has to ask for a label that is there"),
        ({"matchers": 'a="b"', "hours": "9"}, "hours: allowed: 1, 4, 24, 168"),
    ],
)
def test_silence_that_is_none_says_why(fields: dict[str, str], fault: str, firing: Served) -> None:
    page = get(firing, "/alerts/silence?" + urlencode(fields), 400)

    [shown] = [notice.text for notice in page.all("p") if notice.attributes.get("role") == "alert"]
    assert shown.startswith(fault)
    assert post(firing, "/alerts/silence", **fields) == 400
    assert firing.engine.alerting.silences() == []


def test_silence_is_set_shown_and_ended(firing: Served) -> None:
    fields = {"matchers": 'mountpoint="/"', "hours": "24", "created_by": "Anna", "comment": "known"}
    assert post(firing, "/alerts/silence", **fields) == 303

    page = get(firing, "/alerts")
    [silence] = firing.engine.alerting.silences()
    assert silence.ends_s - silence.starts_s == 86_400
    [shown] = items(page.section("Silences"))
    assert shown.startswith('mountpoint="/"active until 20')
    assert " · Anna · known · only in memory: a restart forgets it End it now: mountpoint" in shown
    assert f"nobody is told: silence {silence.id}" in items(page)[1]

    assert post(firing, "/alerts/silence/end", id=silence.id) == 303
    assert firing.engine.alerting.silences() == []
    assert post(firing, "/alerts/silence/end", id=silence.id) == 404


def test_page_of_another_site_cannot_silence(firing: Served) -> None:
    body = urlencode({"matchers": 'mountpoint="/"'}).encode()
    reply = ask(firing.url, "/alerts/silence", "POST", headers={"Origin": "https://evil.example"}, body=body)

    assert reply.status == 403
    assert firing.engine.alerting.silences() == []


def test_alert_that_means_harm_stays_text(tmp_path: Path) -> None:
    with served(tmp_path) as running:
        running.finds(alert("A", summary=made.HOSTILE, label=made.HOSTILE))
        post(running, "/alerts/silence", matchers='label=~".*img.*"', comment=made.HOSTILE, created_by=made.HOSTILE)

        for path in ("/", "/alerts", "/alerts/silence?" + urlencode({"matchers": f'a="{made.HARM}"'})):
            page = get(running, path)
            assert not page.all("img")
            assert [script.attributes["src"].partition("?")[0] for script in page.all("script")] == [
                "/static/sergas.js"
            ]
            assert "\u202e" not in page.text
