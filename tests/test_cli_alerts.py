"""``sergas alerts``, ``sergas silence`` and ``sergas routes``: what they print, and the sidecar that they talk to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.cli import main
from pytest_sergas.cli.alerts import to_history, to_lines
from pytest_sergas.cli.silence import seconds
from pytest_sergas.cli.silence import to_lines as silence_lines
from pytest_sergas.errors import SergasError
from tests.servers.process import until
from tests.servers.sidecar import sidecar
from tests.sidecar.conftest import ask

ROUTES = """
channels = [{type = "log", name = "chat"}, {type = "log", name = "phone"}]
[[routes]]
name = "critical"
match = 'severity="critical"'
channels = ["phone"]
escalate = [{after = 600, channels = ["chat"]}]
continue = true
[[routes]]
name = "rest"
match = 'type!="noise"'
channels = ["chat"]
group_wait = 0
[[routes]]
name = "noise"
channels = []
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Fire",
        "state": "firing",
        "level": "critical",
        "message": "it burns",
        "labels": {"alertname": "Fire", "severity": "critical", "host": "a\x1b[31m"},
        "active_since": "2025-10-20T10:29:00Z",
        "firing_since": "2025-10-20T10:30:00Z",
        "muted_by": "",
        "routes": ["phone"],
        **changes,
    }


def event(**changes: Any) -> dict[str, Any]:
    return {
        "at": "2025-10-20T10:30:00Z",
        "event": "firing",
        "why": "condition_true",
        "detail": "",
        "name": "Fire",
        "level": "critical",
        "channel": "",
        "delivery": None,
        **changes,
    }


DELIVERY = {"state": "delivered", "attempts": 2, "result": "250 OK"}


@pytest.mark.unit
def test_alerts_are_shown_with_state_labels_and_route() -> None:
    assert list(to_lines([alert(), alert(state="pending", firing_since=None, muted_by="silence a", routes=[])])) == [
        "critical firing  Fire: it burns",
        "         since 2025-10-20T10:30:00Z, to phone",
        "         host=a",
        "critical pending Fire: it burns",
        "         since 2025-10-20T10:29:00Z, to no route, muted by silence a",
        "         host=a",
    ]


@pytest.mark.unit
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param({}, "firing: condition true", id="firing"),
        pytest.param({"event": "resolved", "why": "series_gone"}, "resolved: series gone", id="resolved"),
        pytest.param(
            {"event": "told", "why": "new", "channel": "chat", "delivery": DELIVERY},
            "told to chat: new, delivered after 2 attempts: 250 OK",
            id="told",
        ),
        pytest.param(
            {"event": "told", "why": "new", "channel": "chat", "delivery": {**DELIVERY, "attempts": 1, "result": ""}},
            "told to chat: new, delivered after 1 attempt",
            id="told at once",
        ),
        pytest.param(
            {"event": "not_told", "why": "silenced", "channel": "chat", "detail": "silence a"},
            "not told to chat: silenced (silence a)",
            id="silenced",
        ),
        pytest.param({"event": "not_told", "why": "no_route"}, "not told: no route", id="no route"),
    ],
)
def test_history_is_one_line_for_each_event(changes: dict[str, Any], line: str) -> None:
    assert list(to_history([event(**changes)])) == [f"2025-10-20T10:30:00Z critical Fire {line}"]


@pytest.mark.unit
def test_nothing_is_said_in_words() -> None:
    assert [*to_lines([]), *to_history([]), *silence_lines([])] == ["no alerts", "nothing happened yet", "no silences"]


@pytest.mark.unit
@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("5ms", 0.005)])
def test_time_is_read_with_its_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.unit
@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "2x", "400d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SergasError) as caught:
        seconds(text)

    assert str(caught.value) == (
        f"sergas: --for {text!r}: allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'"
    )


@pytest.mark.integration
def test_silence_is_set_listed_and_ended_in_a_running_sidecar(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sidecar(here, "--store", "sergas.db") as running:
        url = ("--url", running.url)
        assert main(["silence", *url, "add", "alertname=A", "host=~db.*", "--for", "2h", "--comment", "known"]) == 0
        silence_id, _, _ = capsys.readouterr().out.split()
        assert main(["silence", *url, "list"]) == 0
        listed = capsys.readouterr().out
        assert main(["silence", *url, "end", silence_id]) == 0
        assert capsys.readouterr().out == f"{silence_id} has ended\n"
        assert main(["silence", *url, "end", silence_id]) == 2
        refused = capsys.readouterr().err

    with sidecar(here, "--store", ":memory:") as running:
        assert main(["silence", "--url", running.url, "add", "alertname=A", "--for", "2h"]) == 0
        assert capsys.readouterr().out.endswith("; only in memory: a restart forgets it\n")

    assert listed.startswith(f"{silence_id} until ")
    assert listed.endswith('alertname="A" host=~"db.*": known\n')
    assert refused == f"sergas: there is no silence {silence_id!r} in force; there are: none\n"


@pytest.mark.integration
def test_alerts_of_a_running_sidecar_are_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sidecar(here, "--store", ":memory:") as running:
        assert main(["alerts", "--url", running.url]) == 0
        assert main(["alerts", "--url", running.url, "--history", "--name", "A", "--limit", "5"]) == 0
        assert main(["alerts", "--url", running.url, "--json"]) == 0
        lines = capsys.readouterr().out

    assert lines.startswith("no alerts\nnothing happened yet\n")
    assert json.loads(lines.partition("yet\n")[2]) == {"alerts": []}


@pytest.mark.integration
def test_alert_that_fires_in_a_running_sidecar_is_shown_with_its_history(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "{alert: OrdersFailed, expr: failed_orders > 0, annotations: {summary: '{{ $value }} orders failed'}}"
    (here / "shop.yml").write_text(f"groups: [{{name: shop, rules: [{rule}]}}]", encoding="utf-8")
    config = """
    channels = [{type = "log", name = "chat"}]
    routes = [{name = "all", channels = ["chat"], group_wait = 0}]
    rules = {files = ["shop.yml"], ready_made = []}
    """
    with sidecar(here, "--store", ":memory:", config=config) as running:

        def history() -> str:
            assert main(["alerts", "--url", running.url, "--history"]) == 0
            return capsys.readouterr().out

        assert ask(running.url, "/metrics/job/shop", "POST", body=b"failed_orders 3\n").status == 200
        until(lambda: "delivered" in history(), "the alert is told", running.log, deadline_s=60)
        told, fired = history().splitlines()
        assert main(["alerts", "--url", running.url]) == 0
        listed = capsys.readouterr().out

    at = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(rf"{at} warning OrdersFailed firing: condition true", fired)
    assert re.fullmatch(rf"{at} warning OrdersFailed told to chat: new, delivered after 1 attempt(: .*)?", told)
    assert re.fullmatch(
        rf"warning  firing  OrdersFailed: 3 orders failed\n         since {at}, to all\n         job=shop\n", listed
    )


@pytest.mark.usefixtures("here")
@pytest.mark.integration
def test_sidecar_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "--url", "http://127.0.0.1:1"]) == 2
    text = "sergas: http://127.0.0.1:1: connection refused; sergas serve starts a sidecar\n"
    assert capsys.readouterr().err == text


@pytest.mark.usefixtures("here")
@pytest.mark.unit
def test_matcher_is_checked_before_anything_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["silence", "--url", "http://127.0.0.1:1", "add", "alertname", "--for", "2h"]) == 2
    assert capsys.readouterr().err == (
        "sergas: matcher 'alertname': allowed: a label, one of = != =~ !~, and a value, such as "
        'severity="critical" or type=~"smoke|e2e"\n'
    )


@pytest.mark.unit
def test_route_of_an_alert_is_shown_with_all_that_would_happen(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sergas.toml").write_text(ROUTES, encoding="utf-8")

    assert main(["routes", "test", "severity=critical", "job=shop"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "an alert of the level critical",
        'route critical: severity="critical"',
        "  told            phone",
        "  together by     job: job='shop'",
        "  waits           2 s for others, 30 s after a message",
        "  repeated        every 14400 s while it fires",
        "  cooldown        300 s until it can begin again, unless it is more severe",
        "  escalated       to chat after 600 s",
        "  goes on         later routes are tried as well",
        'route rest: type!="noise"',
        "  told            chat",
        "  together by     job: job='shop'",
        "  waits           0 s for others, 30 s after a message",
        "  repeated        every 14400 s while it fires",
        "  cooldown        300 s until it can begin again, unless it is more severe",
    ]


@pytest.mark.unit
def test_alert_that_nobody_would_be_told_about_ends_with_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sergas.toml").write_text(ROUTES, encoding="utf-8")

    assert main(["routes", "test", "type=noise"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "an alert of the level warning",
        "route noise: everything",
        "  told            nobody",
    ]


@pytest.mark.unit
def test_alert_that_no_route_matches_ends_with_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'channels = [{type = "log"}]\nroutes = [{match = "a=b", channels = ["log"]}]'
    (here / "sergas.toml").write_text(text, encoding="utf-8")

    assert main(["routes", "test"]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["no route matches: nobody would be told"]


@pytest.mark.unit
def test_maintenance_that_is_under_way_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'channels = [{type = "log"}]\nmaintenance = [{name = "always", from = "00:00", to = "24:00"}]'
    (here / "sergas.toml").write_text(text, encoding="utf-8")

    assert main(["routes", "test"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "now not told: maintenance always"


@pytest.mark.unit
def test_routes_are_listed_also_from_a_named_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "other.toml").write_text('channels = [{type = "log"}]', encoding="utf-8")

    assert main(["routes", "--config", "other.toml"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "route default: everything",
        "  told            log",
        "  together by     job",
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.unit
@pytest.mark.parametrize("pair", ["severity", "=critical", "a-b=c"])
def test_what_is_no_label_is_refused(capsys: pytest.CaptureFixture[str], pair: str) -> None:
    Path("sergas.toml").write_text(ROUTES, encoding="utf-8")

    assert main(["routes", "test", pair]) == 2
    assert capsys.readouterr().err == f"sergas: label {pair!r}: allowed: LABEL=VALUE, such as severity=critical\n"


@pytest.mark.unit
def test_route_that_is_never_reached_is_warned_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = 'routes = [{name = "a", channels = ["log"]}, {match = ["b=c"], channels = ["log"]}]'
    (here / "sergas.toml").write_text(f'channels = [{{type = "log"}}]\n{routes}', encoding="utf-8")

    assert main(["routes"]) == 0
    assert capsys.readouterr().err == (
        "sergas: routes.2: is never reached: routes.a before it takes everything; "
        "move it before that one, or set continue = true there\n"
    )
