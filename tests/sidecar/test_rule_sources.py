"""Rules over what a running sidecar checks, collects and scrapes: their alerts arrive at a webhook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.servers.gateways import Answer, Answering, answering, refusing
from tests.servers.process import until
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration

RULES = """
groups:
- name: sources
  rules:
  - {alert: CheckFails, expr: 'sergas_check_up{check="database"} == 0'}
  - {alert: UsersMany, expr: 'custom_active_users{job="sergas"} > 40'}
  - {alert: LoadHigh, expr: 'load{job="node",instance="one"} > 5'}
"""
SHOP = """\
from pytest_sergas import MonitoringMetric, MonitorType


def collect():
    return [MonitoringMetric("active_users", 42, None, MonitorType.CUSTOM)]
"""


def firing(webhook: Answering) -> set[str]:
    told = [alert for request in webhook.received for alert in json.loads(request.body)["alerts"]]
    return {alert["labels"]["alertname"] for alert in told if alert["status"] == "firing"}


def test_alerts_of_checks_collectors_and_targets_arrive(tmp_path: Path) -> None:
    (tmp_path / "sources.yml").write_text(RULES, encoding="utf-8")
    (tmp_path / "shop_metrics.py").write_text(SHOP, encoding="utf-8")
    with answering() as webhook, answering(lambda _: Answer(body="load 7\n")) as node, refusing() as database:
        config = f"""
        channels = [{{type = "webhook", url = "{webhook.url}"}}]
        routes = [{{channels = ["webhook"], group_wait = 0, group_interval = 0}}]
        [[checks]]
        type = "tcp"
        name = "database"
        host = "127.0.0.1"
        port = {database.rpartition(":")[2]}
        failures = 1
        [rules]
        files = ["sources.yml"]
        ready_made = []
        evaluation_interval = 0.2
        [collect]
        custom = ["shop_metrics:collect"]
        interval = 1
        targets = [{{url = "{node.url}/metrics", job = "node", instance = "one"}}]
        """
        with sidecar(tmp_path, config=config) as running:
            until(
                lambda: firing(webhook) == {"CheckFails", "UsersMany", "LoadHigh"},
                "all three arrive",
                running.log,
                deadline_s=60,
            )
