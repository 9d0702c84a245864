"""What keys of the sidecar do, seen from outside: once in ``sergas serve``, once in a program, with one configuration.

Everything that a key changes reaches one server of the test: pages that the gateway is sent, notifications, requests of
checks and scrapes. `OBSERVED` holds what proves each key.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.reach.parts import started
from tests.servers.gateways import Answer, Answering, Received, answering
from tests.servers.process import until

pytestmark = pytest.mark.integration

CONFIG = """
project = "reach"
slack_webhook_url = "{url}/slack"
alert_webhook_url = "{url}/alerts"
health_check_timeout = 0.3
health_check_interval = 0.2
alert_cooldown = 0
max_alerts_per_minute = 9000

[collect]
interval = "200ms"
timeout = 0.3
max_age = 300
gateway = "{url}/gateway"
disabled = ["container", "process"]
custom = ["own:values", "own:slow"]

[[collect.targets]]
url = "{url}/basic"
job = "shop"
instance = "till"
labels = {{team = "blue"}}
username = "me"
password_file = "password"
[[collect.targets]]
url = "{url}/token"
job = "token"
token_file = "token"
interval = 600
[[collect.targets]]
url = "{url}/hang"
job = "hang"
timeout = 0.2
[[collect.targets]]
url = "{url}/big"
job = "big"
max_mb = 0.001

[[checks]]
type = "python"
name = "dead"
call = "own:dead"
failures = 1
[[checks]]
type = "python"
name = "page"
call = "own:fine"
depends_on = ["dead"]
[[checks]]
type = "python"
name = "sleepy"
call = "own:sleepy"
failures = 1
[[checks]]
type = "python"
name = "brief"
call = "own:sleepy"
timeout = 0.1
failures = 1
[[checks]]
type = "http"
name = "often"
url = "{url}/often"
[[checks]]
type = "http"
name = "seldom"
url = "{url}/seldom"
interval = 600
[[checks]]
type = "python"
name = "returns"
call = "own:returns"
failures = 1
successes = 100

[rules]
files = ["rules.yml", "far.yml"]
ready_made = []
evaluation_interval = 0.2

[[channels]]
type = "webhook"
name = "team"
url = "{url}/team"
[[channels]]
type = "webhook"
name = "lead"
url = "{url}/lead"
[[channels]]
type = "webhook"
name = "capped"
url = "{url}/capped"
max_alerts_per_minute = 1
send_resolved = false
[[channels]]
type = "webhook"
name = "slow"
url = "{url}/slowly"
timeout = 0.2

[[routes]]
name = "first"
match = ['alertname="Load"']
channels = ["team"]
group_by = ["team"]
group_wait = 0
group_interval = 0.2
repeat_interval = 0.5
escalate = [{{after = "300ms", channels = ["lead"]}}]
continue = true
[[routes]]
name = "second"
match = ['alertname="Load"']
channels = ["slack", "webhook"]
group_wait = 0
[[routes]]
name = "many"
match = ['alertname=~"Many|Muted"']
channels = ["capped"]
group_by = ["number"]
group_wait = 0
group_interval = 0
[[routes]]
name = "blink"
match = ['alertname="Blink"']
channels = ["lead"]
group_wait = 0
group_interval = 0
cooldown = 600
[[routes]]
name = "big"
match = ['alertname=~"Big|Wink"']
channels = ["webhook"]
group_wait = 0
[[routes]]
name = "slow"
channels = ["slow"]
group_wait = 0

[[maintenance]]
name = "always"
match = ['alertname="Muted"']
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "24:00"
timezone = "Pacific/Auckland"
"""
# Windows that are shut now, each by one of its keys alone: what they match is told all the same.
SHUT = """
[[maintenance]]
name = "other-day"
match = ['alertname="Many"']
days = ["{other_day}"]
from = "00:00"
to = "24:00"
[[maintenance]]
name = "other-time"
match = ['alertname="Load"']
from = "{later}"
to = "{latest}"
[[maintenance]]
name = "other-zone"
match = ['alertname="Hang"']
from = "{earlier}"
to = "{later}"
timezone = "Etc/GMT-6"
"""
OWN = """
import time
from pytest_sergas.monitoring import MonitoringMetric, MonitorType

def values(): return [MonitoringMetric("own_value", 5, None, MonitorType.CUSTOM)]
def slow(): time.sleep(1); return []
def dead(): return False
def fine(): return True
def sleepy(): time.sleep(1); return True
calls = iter(range(10**9))
def returns(): return next(calls) > 0
"""
RULES = """
groups:
  - name: reach
    rules:
      - {alert: Load, expr: load > 5, labels: {severity: warning}}
      - {alert: Muted, expr: load > 5}
      - {alert: Many, expr: 'many > 0', labels: {severity: warning}}
      - {alert: Blink, expr: blink > 0}
      - {alert: Wink, expr: blink > 0}
      - {alert: Hang, expr: 'up{job="hang"} == 0'}
      - {alert: Big, expr: 'up{job="big"} == 0'}
"""
MANY = "".join(f'many{{number="{number}"}} 1\n' for number in range(4))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server of the test has been sent so far."""

    server: Answering

    def requests(self, path: str) -> list[Received]:
        return [one for one in list(self.server.received) if one.path.startswith(path)]

    @property
    def page(self) -> str:
        """The newest page that the gateway was sent."""
        pages = self.requests("/gateway/metrics/job/")
        return pages[-1].body.decode() if pages else ""

    def has(self, pattern: str) -> bool:
        return re.search(pattern, self.page, re.MULTILINE) is not None

    def told(self, path: str) -> list[dict[str, Any]]:
        """Return the alerts of all notifications that arrived at ``path``."""
        return [alert for one in self.requests(path) for alert in json.loads(one.body).get("alerts", [])]

    def labels(self, path: str, name: str) -> list[Mapping[str, str]]:
        return [alert["labels"] for alert in self.told(path) if alert["labels"]["alertname"] == name]

    def status(self, check: str, status: str) -> bool:
        return self.has(rf'^sergas_check_status{{component="{check}",status="{status}"}} 1') or self.has(
            rf'^sergas_check_status{{[^}}]*"{check}"[^}}]*status="{status}"[^}}]*}} 1'
        )

    def authorized(self, path: str, how: str) -> bool:
        return bool(self.requests(path)) and all(
            one.headers.get("Authorization", "").startswith(how) for one in self.requests(path)
        )


def answer(request: Received) -> Answer:
    match request.path:
        case "/basic":
            # On for a second, off for a second.
            return Answer(200, f"load 7\nblink {int(time.monotonic()) % 2}\n{MANY}")
        case "/token":
            return Answer(200, "other 1\n")
        case "/big":
            return Answer(200, "".join(f"big{number} 1\n" for number in range(1_000)))
        case "/hang" | "/slowly":
            time.sleep(0.6)
            return Answer(200, "hang 1\n")
    return Answer()


def _is(alert: Mapping[str, Any], name: str) -> bool:
    return bool(alert["labels"]["alertname"] == name)


def shut() -> str:
    """Return the windows that are shut now."""
    now = datetime.now(UTC)
    hours = {name: now + timedelta(hours=by) for name, by in (("earlier", -1), ("later", 2), ("latest", 3))}
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return SHUT.format(
        other_day=days[(now.weekday() + 3) % 7], **{name: f"{hour:%H:%M}" for name, hour in hours.items()}
    )


Observation = Callable[[Seen], bool]

OBSERVED: Mapping[str, Observation] = {
    "collect.interval": lambda seen: len(seen.requests("/gateway/metrics/job/")) > 3,
    "collect.timeout": lambda seen: seen.has(r'^sergas_collector_up{collector="own:slow"} 0'),
    "collect.max_age": lambda seen: seen.has("^sergas_rule_files_refused 1"),
    "collect.gateway": lambda seen: bool(seen.requests("/gateway/metrics/job/")),
    "collect.disabled": lambda seen: seen.has("^sergas_collector_up") and not seen.has('collector="process"'),
    "collect.custom": lambda seen: seen.has("own_value 5"),
    "collect.targets": lambda seen: bool(seen.requests("/basic")),
    "collect.targets.url": lambda seen: bool(seen.requests("/basic")),
    "collect.targets.job": lambda seen: any(one.get("job") == "shop" for one in seen.labels("/team", "Load")),
    "collect.targets.instance": lambda seen: any(one.get("instance") == "till" for one in seen.labels("/team", "Load")),
    "collect.targets.labels": lambda seen: any(one.get("team") == "blue" for one in seen.labels("/team", "Load")),
    "collect.targets.interval": lambda seen: (
        len(seen.requests("/token")) in {1, 2} and len(seen.requests("/basic")) > 5
    ),
    "collect.targets.timeout": lambda seen: bool(seen.labels("/slowly", "Hang")),
    "collect.targets.max_mb": lambda seen: bool(seen.labels("/alerts", "Big")),
    "collect.targets.username": lambda seen: seen.authorized("/basic", "Basic bWU6aHVudGVyMg=="),
    "collect.targets.password_file": lambda seen: seen.authorized("/basic", "Basic bWU6aHVudGVyMg=="),
    "collect.targets.token_file": lambda seen: seen.authorized("/token", "Bearer t0k3n"),
    "health_check_timeout": lambda seen: seen.status("sleepy", "unhealthy"),
    "health_check_interval": lambda seen: len(seen.requests("/often")) > 2,
    "checks": lambda seen: bool(seen.requests("/often")),
    "checks.type": lambda seen: bool(seen.requests("/often")) and seen.status("dead", "unhealthy"),
    "checks.name": lambda seen: seen.status("often", "healthy"),
    "checks.timeout": lambda seen: seen.status("brief", "unhealthy"),
    "checks.interval": lambda seen: len(seen.requests("/seldom")) == 1 and len(seen.requests("/often")) > 2,
    "checks.failures": lambda seen: seen.status("dead", "unhealthy"),
    "checks.successes": lambda seen: (
        seen.status("returns", "unhealthy")
        and seen.has(r'^sergas_check_results_total{[^}]*"returns"[^}]*"healthy"[^}]*} [1-9]')
    ),
    "checks.depends_on": lambda seen: seen.status("page", "unknown"),
    "rules.files": lambda seen: bool(seen.labels("/team", "Load")),
    "rules.ready_made": lambda seen: seen.has("^sergas_rules 7$"),
    "rules.evaluation_interval": lambda seen: seen.has('^sergas_alert_transitions_total{[^}]*"resolved"} [3-9]'),
    "channels": lambda seen: bool(seen.requests("/team")),
    "slack_webhook_url": lambda seen: bool(seen.requests("/slack")),
    "alert_webhook_url": lambda seen: bool(seen.requests("/alerts")),
    "channels.type": lambda seen: (
        any(b'"blocks"' in one.body for one in seen.requests("/slack"))
        and not any(b'"blocks"' in one.body for one in seen.requests("/team"))
    ),
    "channels.name": lambda seen: bool(seen.requests("/team")) and bool(seen.requests("/lead")),
    "channels.timeout": lambda seen: len(seen.requests("/slowly")) > 1,  # the first attempt was given up
    "channels.max_alerts_per_minute": lambda seen: seen.has(
        "^sergas_[a-z_]*{[^}]*(rate_limited|capped|cap)[^}]*} [1-9]"
    ),
    "routes": lambda seen: not seen.requests("/capped") or not seen.labels("/capped", "Load"),
    "routes.name": lambda seen: any(json.loads(one.body)["receiver"] == "team" for one in seen.requests("/team")),
    "routes.match": lambda seen: bool(seen.labels("/team", "Load")) and not seen.labels("/team", "Many"),
    "routes.channels": lambda seen: bool(seen.labels("/team", "Load")) and not seen.labels("/capped", "Load"),
    "routes.group_by": lambda seen: any(
        json.loads(one.body)["groupLabels"] == {"team": "blue"} for one in seen.requests("/team")
    ),
    "routes.group_wait": lambda seen: bool(seen.requests("/team")),
    "routes.group_interval": lambda seen: len(seen.requests("/team")) > 1,
    "routes.repeat_interval": lambda seen: len(seen.labels("/team", "Load")) > 1,
    "routes.escalate": lambda seen: bool(seen.labels("/lead", "Load")),
    "routes.continue": lambda seen: bool(seen.labels("/team", "Load")) and bool(seen.labels("/alerts", "Load")),
    "maintenance": lambda seen: bool(seen.labels("/capped", "Many")) and not seen.labels("/capped", "Muted"),
    "routes.cooldown": lambda seen: seen.has('^sergas_alerts_not_told_total{[^}]*"cooldown"[^}]*} [1-9]'),
    "alert_cooldown": lambda seen: len({one["startsAt"] for one in seen.told("/alerts") if _is(one, "Wink")}) > 1,
    "maintenance.name": lambda seen: bool(seen.labels("/capped", "Many")) and not seen.labels("/capped", "Muted"),
    "maintenance.days": lambda seen: bool(seen.labels("/capped", "Many")),
    "maintenance.from": lambda seen: bool(seen.labels("/team", "Load")),
    "maintenance.to": lambda seen: bool(seen.labels("/team", "Load")),
    "maintenance.timezone": lambda seen: bool(seen.labels("/slowly", "Hang")),
    "maintenance.match": lambda seen: bool(seen.labels("/capped", "Many")) and not seen.labels("/capped", "Muted"),
}


@pytest.mark.parametrize("part", ["serve", "program"])
def test_each_key_has_its_effect(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROMETHEUS_GATEWAY", "SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST"):
        monkeypatch.delenv(name, raising=False)
    with answering(answer) as server:
        files = {
            "sergas.toml": CONFIG.format(url=server.url) + shut(),
            "own.py": OWN,
            "rules.yml": RULES,
            "far.yml": "groups: [{name: g, rules: [{alert: Far, expr: 'rate(load[10m]) > 0'}]}]",
            "password": "hunter2",
            "token": "t0k3n",
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        seen = Seen(server)
        with started(part, tmp_path):
            missing = set(OBSERVED)

            def all_seen() -> bool:
                missing.difference_update([key for key in missing if OBSERVED[key](seen)])
                return not missing

            try:
                until(all_seen, "every key has its effect", tmp_path / "part.log", deadline_s=40)
            except AssertionError as error:
                raise AssertionError(f"without an effect in {part}: {sorted(missing)}\n{error}") from None
