"""Secrets of a whole configuration, planted everywhere it takes one: the sidecar tells none of them to anybody.

Receivers, databases and targets answer with what they were sent, as some do in their errors; some take it, some refuse.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest
from starlette.routing import Route

from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.sidecar.app import create_app
from tests.servers.gateways import Answer, Received, answering
from tests.servers.process import until
from tests.servers.sidecar import Sidecar, sidecar
from tests.sidecar.conftest import Reply, ask

pytestmark = pytest.mark.integration

# What the sidecar is given; each name says where.
FILES = {
    name: f"plantedInFile{name.replace('_', '').title()}"
    for name in ("webhook_secret", "webhook_token", "mail", "postgres", "redis", "check", "target", "tokens")
}
INLINE = ["plantedInSlackUrl", "plantedInRefusingSlackUrl", "plantedInWebhookPath", "plantedInWebhookQuery"]
MORE = [
    "plantedInPostgresUrl",
    "plantedInRedisUrl",
    "plantedInMailPassword",
    "plantedInCheckHeader",
    "plantedInUserPassword",
]
HASH = bcrypt.hashpw(b"plantedInUserPassword", bcrypt.gensalt(4)).decode()
SECRETS = [*FILES.values(), *INLINE, *MORE, HASH]
CHANNELS = ["slack", "refusing", "unreachable", "webhook", "email", "mail-file"]
CONFIG = """
routes = [{{channels = {channels}, group_wait = 0, group_interval = 0}}]
[serve]
log_level = "debug"
web_config = "web.yml"
token_file = "tokens"
[rules]
files = ["rules.yml"]
ready_made = []
[[collect.targets]]
url = "{answers}/metrics"
token_file = "target"
[[channels]]
type = "slack"
webhook_url = "{answers}/services/T0/B0/plantedInSlackUrl"
[[channels]]
type = "slack"
name = "refusing"
webhook_url = "{answers}/refuse/plantedInRefusingSlackUrl"
[[channels]]
type = "slack"
name = "unreachable"
webhook_url = "http://127.0.0.1:1/plantedInSlackUrl"
[[channels]]
type = "webhook"
url = "{answers}/refuse/plantedInWebhookPath?key=plantedInWebhookQuery"
secret_file = "webhook_secret"
token_file = "webhook_token"
[[channels]]
type = "email"
host = "127.0.0.1"
port = 1
tls = "none"
username = "alerts@shop.example"
password = "plantedInMailPassword"
to = ["team@shop.example"]
[[channels]]
type = "email"
name = "mail-file"
host = "127.0.0.1"
port = 1
tls = "none"
username = "alerts@shop.example"
password_file = "mail"
to = ["team@shop.example"]
[[checks]]
type = "postgresql"
url = "postgresql://shop:plantedInPostgresUrl@127.0.0.1:1/shop"
[[checks]]
type = "postgresql"
name = "postgresql-file"
url = "postgresql://shop@127.0.0.1:1/shop"
password_file = "postgres"
[[checks]]
type = "redis"
url = "redis://shop:plantedInRedisUrl@127.0.0.1:1/0"
[[checks]]
type = "redis"
name = "redis-file"
url = "redis://127.0.0.1:1/0"
password_file = "redis"
[[checks]]
type = "http"
url = "{answers}/refuse"
headers = {{X-Key = "plantedInCheckHeader"}}
token_file = "check"
"""
RULES = """
groups:
- name: shop
  rules:
  - {alert: OrdersFailed, expr: failed_orders > 0, labels: {severity: critical}}
"""
LOGGED_IN = {"Authorization": f"Bearer {FILES['tokens']}"}


def echo(request: Received) -> Answer:
    """Answer with all that was sent, as an error that quotes its request does."""
    sent = f"{request.path} {dict(request.headers)} {request.body.decode()}"
    return Answer(400 if request.path.startswith("/refuse") else 200, sent)


@dataclass(frozen=True, slots=True)
class Told:
    """All that a sidecar has told.

    Attributes:
        answers: path → the answer.
        log: what it printed.
        store: what its tables hold, as text.
        received: what others were sent.
    """

    answers: dict[str, Reply]
    log: str
    store: str
    received: list[Received]


def paths() -> list[str]:
    """Return every path that can be read and has nothing variable in it, and that of the alert."""
    routes = create_app(Engine(EngineSettings(Path()))).routes
    plain = [of.path for of in routes if isinstance(of, Route) and "{" not in of.path]
    return [*plain, "/alerts/history", "/health/http", "/nowhere"]


def has_told_everybody(running: Sidecar) -> bool:
    events = ask(running.url, "/api/alerts/history", headers=LOGGED_IN).json["events"]
    told = {event["channel"]: event["delivery"] for event in events if event["channel"]}
    return set(CHANNELS) <= {name for name, delivery in told.items() if delivery and delivery["result"]}


def configured(answers: str) -> str:
    return CONFIG.format(answers=answers, channels=CHANNELS)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    directory = tmp_path_factory.mktemp("secrets")
    for name, secret in FILES.items():
        (directory / name).write_text(secret, encoding="utf-8")
    (directory / "web.yml").write_text(f"basic_auth_users: {{ci: {HASH}}}\n", encoding="utf-8")
    (directory / "rules.yml").write_text(RULES, encoding="utf-8")
    with answering(echo) as answers, sidecar(directory, config=configured(answers.url)) as running:
        pushed = ask(running.url, "/metrics/job/shop", "POST", headers=LOGGED_IN, body=b"failed_orders 3\n")
        assert pushed.status == 200
        until(lambda: has_told_everybody(running), "everybody was told", running.log, deadline_s=60)
        found = {path: ask(running.url, path, headers=LOGGED_IN) for path in paths()}
        ask(running.url, "/", headers={"Authorization": "Basic Y2k6cGxhbnRlZEluVXNlclBhc3N3b3Jk"})
        with closing(sqlite3.connect(directory / "sergas.db")) as store:
            rows = "\n".join(store.iterdump())
        yield Told(found, running.printed, rows, answers.received)


def test_secrets_reach_those_for_whom_they_are(told: Told) -> None:
    """Otherwise the other tests would search for what is nowhere."""
    sent = json.dumps([(of.path, dict(of.headers)) for of in told.received])

    files = [FILES[name] for name in ("webhook_token", "check", "target")]
    assert [secret for secret in [*INLINE, "plantedInCheckHeader", *files] if secret not in sent] == []


def test_no_answer_has_a_secret(told: Told) -> None:
    assert {path for path, answer in told.answers.items() if answer.status >= 500} == {"/health"}
    assert "OrdersFailed" in told.answers["/api/alerts"].text

    leaked = {
        path: secret
        for path, answer in told.answers.items()
        for secret in SECRETS
        if secret in answer.text or secret in str(answer.headers)
    }
    assert leaked == {}


def test_log_has_no_secret(told: Told) -> None:
    assert "refusing" in told.log

    assert [secret for secret in SECRETS if secret in told.log] == []


def test_store_has_no_secret(told: Told) -> None:
    assert told.store.count('INSERT INTO "notifications"') >= 6

    assert [secret for secret in SECRETS if secret in told.store] == []
