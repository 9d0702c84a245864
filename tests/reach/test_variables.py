"""What the environment says, and the specification's other names: in the sidecar and in a program."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme

from tests.reach.parts import started
from tests.servers.gateways import Answering, answering
from tests.servers.mail import PASSWORD, Mail, mail

pytestmark = pytest.mark.integration

CONFIG = """
project = "reach"
monitoring_interval = "200ms"
metrics_retention = 2
[rules]
files = ["rules.yml"]
ready_made = []
evaluation_interval = 0.2
"""
RULES = """
groups:
  - name: reach
    rules:
      - {alert: Two, expr: 'count_over_time(system_cpu_usage_percent[5m]) >= 2'}
      - {alert: Three, expr: 'count_over_time(system_cpu_usage_percent[5m]) >= 3'}
"""
PATIENCE_S = 30.0


@pytest.mark.parametrize("part", ["serve", "program"])
@pytest.mark.parametrize("how", ["variables", "keys", "table"])
async def test_each_name_has_its_effect(part: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    (tmp_path / "rules.yml").write_text(RULES, encoding="utf-8")
    with answering() as server:
        async with mail(Mail(username="apikey"), tls=context) as post:
            said = {
                "SLACK_WEBHOOK_URL": f"{server.url}/slack",
                "ALERT_WEBHOOK_URL": f"{server.url}/alerts",
                "SMTP_HOST": "127.0.0.1",
                "SMTP_PORT": str(post.port),
                "SMTP_USERNAME": "apikey",
                "SMTP_PASSWORD": PASSWORD,
                "SMTP_FROM": "alerts@shop.example",
                "SMTP_TO": "team@shop.example, lead@shop.example",
            }
            environ = {
                "PROMETHEUS_GATEWAY": f"{server.url}/gateway",
                "SERGAS_PUSH_USERNAME": "me",
                "SERGAS_PUSH_PASSWORD": "hunter2",
                "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
            }
            for name in said:
                monkeypatch.delenv(name, raising=False)
            (tmp_path / "sergas.toml").write_text(f"{_written(said, how)}\n{CONFIG}", encoding="utf-8")
            environ |= said if how == "variables" else {}
            with started(part, tmp_path, environ):
                missing = dict(OBSERVED)
                end_s = asyncio.get_running_loop().time() + PATIENCE_S
                while missing := {key: seen for key, seen in missing.items() if not seen(server, post)}:
                    if asyncio.get_running_loop().time() > end_s:
                        log = (tmp_path / "part.log").read_text("utf-8")
                        raise AssertionError(f"without an effect in {part}: {sorted(missing)}\n{log}")
                    await asyncio.sleep(0.05)


def _written(said: Mapping[str, str], how: str) -> str:
    """Return the keys that say what the variables say, one by one or with mail as a table."""
    if how == "variables":
        return ""
    values = {name.lower(): value if name == "SMTP_PORT" else f'"{value}"' for name, value in said.items()}
    if how == "table":
        mail_keys = {name: values.pop(name) for name in list(values) if name.startswith("smtp_")}
        mail_keys["smtp_to"] = '["team@shop.example", "lead@shop.example"]'
        pairs = ", ".join(f"{name.removeprefix('smtp_')} = {value}" for name, value in mail_keys.items())
        values["smtp"] = f"{{{pairs}}}"
    return "\n".join(f"{name} = {value}" for name, value in values.items())


def _sent(server: Answering, path: str) -> int:
    return sum(1 for one in list(server.received) if one.path.startswith(path))


def _names(server: Answering) -> set[str]:
    """Return the names of the alerts that were told after several pages."""
    if _sent(server, "/gateway/metrics/job/") < 8:
        return set()
    bodies = [json.loads(one.body) for one in list(server.received) if one.path == "/alerts"]
    return {alert["labels"]["alertname"] for body in bodies for alert in body["alerts"]}


def _basic(server: Answering) -> bool:
    pushes = [one for one in list(server.received) if one.path.startswith("/gateway/metrics/job/")]
    return bool(pushes) and pushes[0].headers.get("Authorization") == "Basic bWU6aHVudGVyMg=="


def _recipients(post: Mail) -> list[str]:
    return [address for one in list(post.received) for address in one.rcpt_tos]


OBSERVED: Mapping[str, Callable[[Answering, Mail], bool]] = {
    "environment.PROMETHEUS_GATEWAY": lambda server, _: _sent(server, "/gateway/metrics/job/") > 0,
    "environment.SLACK_WEBHOOK_URL": lambda server, _: _sent(server, "/slack") > 0,
    "environment.ALERT_WEBHOOK_URL": lambda server, _: _sent(server, "/alerts") > 0,
    # The server takes nothing without this login, and is nowhere else.
    "environment.SMTP_HOST": lambda _, post: bool(post.received),
    "environment.SMTP_PORT": lambda _, post: bool(post.received),
    "environment.SMTP_USERNAME": lambda _, post: bool(post.received),
    "environment.SMTP_PASSWORD": lambda _, post: bool(post.received),
    "environment.SMTP_FROM": lambda _, post: any(one.mail_from == "alerts@shop.example" for one in post.received),
    "environment.SMTP_TO": lambda _, post: {"team@shop.example", "lead@shop.example"} <= set(_recipients(post)),
    "environment.SERGAS_PUSH_USERNAME": lambda server, _: _basic(server),
    "environment.SERGAS_PUSH_PASSWORD": lambda server, _: _basic(server),
    "monitoring_interval": lambda server, _: _sent(server, "/gateway/metrics/job/") > 3,
    "metrics_retention": lambda server, _: _names(server) == {"Two"},
}
# The keys are those of the variables, and all of them stand in the table.
OF_KEYS = {
    "smtp": OBSERVED["environment.SMTP_TO"],
    **{
        name.removeprefix("environment.").lower(): seen
        for name, seen in OBSERVED.items()
        if name.startswith(("environment.SMTP_", "environment.SLACK", "environment.ALERT"))
    },
}
