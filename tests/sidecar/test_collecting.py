"""The sidecar as its users start it shows what it collects, and follows a changed configuration."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.servers.gateways import Answer, answering
from tests.servers.process import get, until
from tests.servers.prometheus import lint
from tests.servers.sidecar import Sidecar, sidecar

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
SHOP = """\
from pytest_sergas import MonitoringMetric, MonitorType


def collect():
    return [MonitoringMetric("active_users", 42, None, MonitorType.CUSTOM)]


def broken():
    raise RuntimeError("no database")
"""


def wait_for(running: Sidecar, line: str) -> str:
    """Wait until the page of metrics has ``line``; return the page."""

    def page() -> str:
        text = get(f"{running.url}/metrics")
        return text if line in text.splitlines() else ""

    return until(page, f"/metrics has {line}", running.log, deadline_s=PATIENCE_S)


def test_page_has_the_metrics_of_the_machine_and_passes_promtool(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        wait_for(running, 'sergas_collector_up{collector="disk"} 1')
        page = wait_for(running, 'sergas_collector_up{collector="system"} 1')

    assert "# HELP system_cpu_usage_percent Current CPU usage percentage\n" in page
    assert "# TYPE system_cpu_usage_percent gauge\n" in page
    assert 'system_disk_usage_percent{mountpoint="/"} ' in page
    assert lint(page) == ""


def test_own_collectors_are_shown_and_one_that_raises_costs_only_its_own(tmp_path: Path) -> None:
    (tmp_path / "shop_metrics.py").write_text(SHOP, encoding="utf-8")
    config = '[collect]\ncustom = ["shop_metrics:collect", "shop_metrics:broken"]\n'
    with sidecar(tmp_path, config=config) as running:
        page = wait_for(running, 'sergas_collector_up{collector="shop_metrics:broken"} 0')
        wait_for(running, "custom_active_users 42")

    assert "no database" not in page


def test_configuration_that_is_read_again_changes_what_is_scraped(tmp_path: Path) -> None:
    with answering(lambda _: Answer(body="load 1\n")) as server:
        target = f'[[collect.targets]]\nurl = "{server.url}/metrics"\njob = "node"\ninstance = "one"\n'
        with sidecar(tmp_path, config=target) as running:
            page = wait_for(running, 'sergas_collector_up{collector="scrape node one"} 1')
            assert "\nload" not in page

            (tmp_path / "sergas.toml").write_text(target.replace('"one"', '"two"'), encoding="utf-8")
            running.send(signal.SIGHUP)
            page = wait_for(running, 'sergas_collector_up{collector="scrape node two"} 1')

    assert "scrape node one" not in page


def test_collector_that_cannot_be_used_keeps_the_configuration_in_force(tmp_path: Path) -> None:
    (tmp_path / "shop_metrics.py").write_text(SHOP, encoding="utf-8")
    config = '[collect]\ncustom = ["shop_metrics:collect"]\n'
    with sidecar(tmp_path, config=config) as running:
        wait_for(running, "custom_active_users 42")
        (tmp_path / "sergas.toml").write_text('[collect]\ncustom = ["shop_metrics:missing"]\n', encoding="utf-8")
        running.send(signal.SIGHUP)
        running.waits_for("[collect] custom = 'shop_metrics:missing': shop_metrics has no missing")

        wait_for(running, "sergas_config_last_reload_successful 0")
        wait_for(running, "custom_active_users 42")


def test_collector_that_cannot_be_used_ends_the_start_with_the_reason(tmp_path: Path) -> None:
    config = '[collect]\ncustom = ["no_such_module:collect"]\n'

    with pytest.raises(AssertionError) as raised, sidecar(tmp_path, config=config):
        pass

    assert (
        "[collect] custom = 'no_such_module:collect': no_such_module cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    ) in str(raised.value)
    assert "Traceback" not in str(raised.value)
