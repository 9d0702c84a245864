"""Alerts and silences over HTTP: what fires, what became of it, and how it is kept quiet."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from pytest_sergas.core.alerts import Active, Evaluation
from pytest_sergas.engine import alerting as module
from pytest_sergas.engine.alerting import Alerting
from pytest_sergas.sidecar.alerts import routes
from tests.engine.alerted import Clock, Receiver, alerting, found, labels, planned
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import ask

pytestmark = pytest.mark.integration


@dataclass
class Served:
    """Alerting with its routes, asked without a socket."""

    alerting: Alerting
    chat: Receiver
    clock: Clock
    client: httpx2.AsyncClient

    async def get(self, path: str) -> Any:
        answered = await self.client.get(path)
        assert answered.status_code == 200, answered.text
        return answered.json()

    async def silence(self, **document: Any) -> httpx2.Response:
        return await self.client.post("/api/silences", json=document)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    clock, chat = Clock(), Receiver()
    async with alerting(None, planned(chat), clock) as running:

        @dataclass
        class Parts:
            alerting: Alerting

        transport = httpx2.ASGITransport(app=Starlette(routes=routes(Parts(running))))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Served(running, chat, clock, client)


async def test_alerts_are_listed_with_all_that_is_known(served: Served) -> None:
    fire = labels("Fire", "critical", type="smoke")
    active = Active(fire, 3.0, (("runbook_url", "https://example.org/fire"), ("summary", "3 tests burn")))
    await served.alerting.took_place([Evaluation("r", served.clock(), (active,), source="tests")])
    await served.alerting.took_place([Evaluation("p", served.clock(), (Active(labels("P"), 1.0),), for_s=60)])

    listed = await served.get("/api/alerts")

    assert [alert["name"] for alert in listed["alerts"]] == ["Fire", "P"]
    assert listed["alerts"][0] == {
        "name": "Fire",
        "state": "firing",
        "level": "critical",
        "message": "3 tests burn",
        "source": "tests",
        "labels": {"alertname": "Fire", "severity": "critical", "type": "smoke"},
        "annotations": {"runbook_url": "https://example.org/fire", "summary": "3 tests burn"},
        "value": 3.0,
        "active_since": "2023-11-14T22:13:20Z",
        "firing_since": "2023-11-14T22:13:20Z",
        "muted_by": "",
        "routes": ["all"],
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("state=pending", ["P"], id="state"),
        pytest.param("level=critical", ["Fire"], id="level"),
        pytest.param("state=pending&level=critical", [], id="both"),
    ],
)
async def test_alerts_are_chosen_by_state_and_level(served: Served, query: str, names: list[str]) -> None:
    await served.alerting.took_place([found(served.clock(), labels("Fire", "critical"))])
    await served.alerting.took_place([Evaluation("p", served.clock(), (Active(labels("P"), 1.0),), for_s=60)])

    assert [alert["name"] for alert in (await served.get(f"/api/alerts?{query}"))["alerts"]] == names


async def test_value_that_json_cannot_hold_is_null(served: Served) -> None:
    await served.alerting.took_place([Evaluation("r", served.clock(), (Active(labels("A"), float("nan")),))])

    assert (await served.get("/api/alerts"))["alerts"][0]["value"] is None


async def test_history_tells_who_was_told_what_with_what_result(served: Served) -> None:
    await served.alerting.took_place([found(served.clock(), "A", "B")])
    await served.chat.until(1)
    await served.alerting.took_place([found(served.clock(), "B")])
    await served.chat.until(2)

    events = (await served.get("/api/alerts/history?name=A&limit=10"))["events"]

    assert {event["at"] for event in events} == {"2023-11-14T22:13:20Z"}
    assert [(event["event"], event["why"]) for event in events] == [
        ("told", "resolved"),
        ("resolved", "condition_false"),
        ("told", "new"),
        ("firing", "condition_true"),
    ]
    assert events[2]["channel"] == "chat"
    assert (events[2]["delivery"]["key"], events[2]["delivery"]["state"]) == (served.chat.got[0].key, "delivered")
    assert events[3]["delivery"] is None


async def test_history_is_chosen_by_channel_level_and_source(served: Served) -> None:
    await served.alerting.took_place([found(served.clock(), "A", labels("B", "error"))])
    await served.chat.until(1)

    async def count(query: str) -> int:
        return len((await served.get(f"/api/alerts/history?{query}"))["events"])

    assert [await count(query) for query in ("level=error", "source=tests", "source=other", "channel=chat")] == [
        2,
        4,
        0,
        2,
    ]


async def test_trends_are_by_day_level_and_source(served: Served) -> None:
    served.clock.wall_s = time.time() - 86_400
    await served.alerting.took_place([found(served.clock(), "A", labels("B", "error"))])
    served.clock.pass_by(86_400)
    await served.alerting.took_place([found(served.clock(), "C", rule="other")])

    trends = await served.get("/api/alerts/trends?days=2")
    days = [time.strftime("%Y-%m-%d", time.gmtime(served.clock.wall_s - back_s)) for back_s in (86_400, 0)]

    assert trends["by_level"] == {days[0]: {"error": 1, "warning": 1}, days[1]: {"warning": 1}}
    assert trends["by_source"] == {days[0]: {"tests": 2}, days[1]: {"tests": 1}}


async def test_trends_go_back_as_many_days_as_are_asked_for(served: Served) -> None:
    served.clock.wall_s = time.time() - 2 * 86_400
    await served.alerting.took_place([found(served.clock(), "A")])

    assert [len((await served.get(f"/api/alerts/trends?days={days}"))["by_level"]) for days in (1, 2, 3, 4)] == [
        *(0, 0),
        *(1, 1),
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("/api/alerts?state=bad", "state: allowed: inactive, pending, firing, resolved", id="state"),
        pytest.param("/api/alerts?level=bad", "level: allowed: info, warning, error, critical", id="level"),
        pytest.param("/api/alerts/history?limit=0", "limit: allowed: one whole number from 1 to 1000", id="limit"),
        pytest.param("/api/alerts/trends?days=91", "days: allowed: one whole number from 1 to 90", id="days"),
    ],
)
async def test_parameter_that_cannot_be_used_is_refused(served: Served, path: str, text: str) -> None:
    answered = await served.client.get(path)

    assert (answered.status_code, answered.json()) == (400, {"error": text})


async def test_silence_is_set_listed_and_ended(served: Served) -> None:
    served.clock.wall_s = time.time()
    made = await served.silence(
        matchers=['alertname="A"'], duration_seconds=3600, created_by="me\nyou", comment="known \x1b[31mred"
    )
    silence = made.json()
    await served.alerting.took_place([found(served.clock(), "A")])
    [alert] = (await served.get("/api/alerts"))["alerts"]
    listed = await served.get("/api/silences")
    ended = await served.client.delete(f"/api/silences/{silence['id']}")
    await served.chat.until(1)

    assert made.status_code == 201
    assert (silence["matchers"], silence["is_active"]) == (['alertname="A"'], True)
    assert (silence["created_by"], silence["comment"]) == ("me you", "known red")
    assert alert["muted_by"] == f"silence {silence['id']}"
    assert listed == {"silences": [silence]}
    assert (ended.status_code, ended.json()) == (200, {"ended": True, "stored": True})
    assert (await served.get("/api/silences")) == {"silences": []}
    assert served.chat.told() == ["A fires"]


async def test_silence_that_is_not_there_cannot_be_ended(served: Served) -> None:
    answered = await served.client.delete("/api/silences/none")

    assert answered.status_code == 404
    assert answered.json() == {"error": "there is no silence with this id, or it has ended"}


MATCHERS = 'matchers: allowed: a list of 1 to 50, such as ["severity=\\"critical\\""]'
SECONDS = "duration_seconds: allowed: seconds, more than 0 and at most 31622400, such as 90 or '1h30m'"
MATCHER = 'allowed: a label, one of = != =~ !~, and a value, such as severity="critical" or type=~"smoke|e2e"'


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        pytest.param({}, [MATCHERS, SECONDS], id="nothing"),
        pytest.param({"matchers": [], "duration_seconds": 1}, [MATCHERS], id="no matchers"),
        pytest.param({"matchers": "a=b", "duration_seconds": 1}, [MATCHERS], id="text"),
        pytest.param({"matchers": ["a"], "duration_seconds": 1}, [f"matchers: 'a': {MATCHER}"], id="no matcher"),
        pytest.param(
            {"matchers": [5], "duration_seconds": 1},
            ["matchers: 5: allowed: text of at most 1000 characters"],
            id="number",
        ),
        pytest.param(
            {"matchers": ["a=~("], "duration_seconds": 1},
            ["matchers: 'a=~(': not a regular expression of RE2: '(': missing ): ("],
            id="expression",
        ),
        pytest.param(
            {"matchers": ["a=~.*"], "duration_seconds": 1},
            ["matchers: they match every alert; at least one has to ask for a label that is there"],
            id="everything",
        ),
        pytest.param({"matchers": ["a=b"], "duration_seconds": True}, [SECONDS], id="truth"),
        pytest.param({"matchers": ["a=b"], "duration_seconds": 1e300}, [SECONDS], id="for ever"),
        pytest.param(
            {"matchers": ["a=b"], "duration_seconds": 1, "comment": 5, "created_by": "x" * 1001},
            [
                "created_by: allowed: text of at most 1000 characters",
                "comment: allowed: text of at most 1000 characters",
            ],
            id="texts",
        ),
    ],
)
async def test_what_is_no_silence_is_refused_with_every_fault(
    served: Served, document: dict[str, Any], faults: list[str]
) -> None:
    answered = await served.silence(**document)

    assert (answered.status_code, answered.json()) == (400, {"error": "this is no silence", "faults": faults})


@pytest.mark.parametrize(
    ("body", "kind", "fault"),
    [
        pytest.param(b"{", "application/json", "it is not JSON", id="broken"),
        pytest.param(b"\xff", "application/json", "it is not JSON", id="bytes"),
        pytest.param(b"[" * 60_000, "application/json", "it is not JSON", id="deep"),
        pytest.param(b"[]", "application/json", "it is not a JSON object", id="list"),
        pytest.param(b"{}", "text/plain", "it is not JSON; send it with Content-Type: application/json", id="kind"),
    ],
)
async def test_body_that_is_no_object_is_refused(served: Served, body: bytes, kind: str, fault: str) -> None:
    answered = await served.client.post("/api/silences", content=body, headers={"Content-Type": kind})

    assert (answered.status_code, answered.json()["faults"]) == (400, [fault])


async def test_silence_that_is_too_large_is_refused(served: Served) -> None:
    answered = await served.silence(comment="x" * 70_000)

    assert (answered.status_code, answered.json()) == (413, {"error": "a silence has at most 65536 bytes"})


async def test_too_many_silences_are_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCES_LIMIT", 0)
    answered = await served.silence(matchers=["a=b"], duration_seconds=1)

    assert answered.status_code == 409
    assert answered.json() == {"error": "there are 0 silences, the most that are kept; end some first"}


async def test_expression_of_a_silence_takes_no_longer_than_its_text(served: Served) -> None:
    async with asyncio.timeout(60):
        await served.silence(matchers=["text=~(a+)+b"], duration_seconds=3600)
        await served.alerting.took_place([found(served.clock(), labels("A", text="a" * 5000))])


def test_page_of_another_site_can_set_no_silence(tmp_path: Path) -> None:
    body = json.dumps({"matchers": ["a=b"], "duration_seconds": 60}).encode()
    with sidecar(tmp_path, "--store", ":memory:") as running:
        headers = {"Content-Type": "application/json", "Origin": "http://evil.example"}
        foreign = ask(running.url, "/api/silences", "POST", headers=headers, body=body)
        own = ask(running.url, "/api/silences", "POST", headers={"Content-Type": "application/json"}, body=body)
        deleted = ask(running.url, f"/api/silences/{own.json['id']}", "DELETE", headers=headers)
        left = ask(running.url, "/api/silences").json["silences"]

    assert (foreign.status, own.status, deleted.status) == (403, 201, 403)
    assert [silence["id"] for silence in left] == [own.json["id"]]


def test_silence_is_set_and_ended_only_by_those_who_log_in(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("hunter2\n", encoding="utf-8")
    body = json.dumps({"matchers": ["a=b"], "duration_seconds": 60}).encode()
    kind = {"Content-Type": "application/json"}
    known = {**kind, "Authorization": "Bearer hunter2"}
    with sidecar(tmp_path, "--store", ":memory:", config='[serve]\ntoken_file = "tokens"\n') as running:
        own = ask(running.url, "/api/silences", "POST", headers=known, body=body)
        refused = [
            ask(running.url, "/api/silences", "POST", headers=kind, body=body).status,
            ask(running.url, f"/api/silences/{own.json['id']}", "DELETE").status,
        ]
        left = ask(running.url, "/api/silences", headers=known).json["silences"]

    assert (own.status, refused) == (201, [401, 401])
    assert [silence["id"] for silence in left] == [own.json["id"]]


def test_alerts_are_told_only_to_those_who_log_in(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("hunter2\n", encoding="utf-8")
    with sidecar(tmp_path, "--store", ":memory:", config='[serve]\ntoken_file = "tokens"\n') as running:
        paths = ("/api/alerts", "/api/alerts/history", "/api/alerts/trends", "/api/silences")
        closed = [ask(running.url, path).status for path in paths]
        opened = [ask(running.url, path, headers={"Authorization": "Bearer hunter2"}).status for path in paths]

    assert (closed, opened) == ([401] * 4, [200] * 4)


CONFIG = """
channels = [{type = "log"}]
routes = [{channels = ["log"], group_wait = 0, group_interval = 0}]
[rules]
files = ["rules.yml"]
"""
RULES = """
groups:
- name: shop
  rules:
  - alert: OrdersFailed
    expr: failed_orders > 0
    labels: {severity: critical}
    annotations: {summary: '{{ $value }} orders failed'}
"""


def push(running: Sidecar, failed: int) -> None:
    body = f"failed_orders {failed}\n".encode()
    assert ask(running.url, "/metrics/job/shop", "POST", body=body).status == 200


def history(running: Sidecar) -> list[tuple[str, str]]:
    events = ask(running.url, "/api/alerts/history?name=OrdersFailed").json["events"]
    return [(event["event"], (event["delivery"] or {}).get("state", "")) for event in reversed(events)]


def test_alert_survives_the_kill_of_the_sidecar_and_ends_in_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES, encoding="utf-8")
    told = [("firing", ""), ("told", "delivered")]
    with sidecar(tmp_path, config=CONFIG) as running:
        push(running, 3)
        until(lambda: history(running) == told, "the alert is told", running.log, deadline_s=60)
        status = ask(running.url, "/api/monitoring/status").json["alerts"]
        running.process.kill()
        running.process.wait()
    with sidecar(tmp_path, name="second") as running:
        push(running, 0)
        ended = [*told, ("resolved", ""), ("told", "delivered")]
        until(lambda: history(running) == ended, "its end is told", running.log, deadline_s=60)

    assert status["total_active"] == 1
    assert status["by_level"] == {"critical": 1}
    assert list(status["by_source"].values()) == [1]
    assert "OrdersFailed, resolved" in running.printed
