"""Own and collected metrics in a gateway: the real one, and a sidecar that is its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_sergas.core.grouping import from_path
from pytest_sergas.engine.gateway import Target
from tests.servers.gateways import refusing
from tests.servers.process import get, until
from tests.servers.pushgateway import pushgateway
from tests.servers.sidecar import sidecar
from tests.sidecar.http import Request, send

HOST = socket.gethostname()
COLLECT = "[collect]\ninterval = '200ms'\n"

PROGRAM = """
import asyncio, os
from pytest_sergas.monitoring import ComprehensiveMonitoringSystem, MonitoringMetric, MonitorType

async def main():
    system = ComprehensiveMonitoringSystem({"project": "shop", "root": os.getcwd()})
    calls = iter(range(1_000))
    users = lambda: [MonitoringMetric("active_users", next(calls), None, MonitorType.CUSTOM)]
    system.add_custom_metric_collector(users)
    await system.start_monitoring(interval=0.2)
    await asyncio.to_thread(input)
    await system.stop_monitoring()

asyncio.run(main())
"""


@pytest.mark.unit
@pytest.mark.parametrize(
    ("url", "environ", "headers"),
    [
        ("http://me:hunter2@gw", {"SERGAS_PUSH_TOKEN": "t"}, {"Authorization": "Basic bWU6aHVudGVyMg=="}),
        ("http://gw", {"SERGAS_PUSH_TOKEN": "t"}, {"Authorization": "Bearer t"}),
        (
            "http://gw",
            {"SERGAS_PUSH_USERNAME": "me", "SERGAS_PUSH_PASSWORD": "hunter2"},
            {"Authorization": "Basic bWU6aHVudGVyMg=="},
        ),
        ("http://gw", {"SERGAS_PUSH_TOKEN": "", "SERGAS_PUSH_USERNAME": ""}, {}),
    ],
)
def test_credentials_stand_in_the_url_or_in_the_environment(
    url: str, environ: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    assert Target(url, 1.0, "job", environ=environ).headers() == headers


@pytest.mark.unit
def test_group_is_of_job_and_machine() -> None:
    assert from_path(Target("gw:9091", 1.0, "a/b").path) == {"job": "a/b", "instance": HOST}
    assert from_path(Target("gw:9091", 1.0, "shop", "h:80").path) == {"job": "shop", "instance": "h:80"}


@pytest.mark.integration
def test_sidecar_replaces_one_group_and_pushes_nothing_on_that_was_pushed(tmp_path: Path) -> None:
    with (
        pushgateway(tmp_path) as gateway,
        sidecar(
            tmp_path, "--store", ":memory:", config=COLLECT, environ={"PROMETHEUS_GATEWAY": gateway.url}
        ) as running,
    ):
        assert send(running.url, Request("PUT", "/metrics/job/run", b"sergas_tests 5\n")).status == 200
        until(lambda: 'sergas_groups{instance="' in get(f"{gateway.url}/metrics"), "a push", running.log)
        until(
            lambda: re.search(rf'sergas_groups{{instance="{HOST}[^}}]*}} 1\n', get(f"{gateway.url}/metrics")),
            "a later push",
            running.log,
        )
        page = get(f"{gateway.url}/metrics")
        assert [(group["labels"]["job"], group["labels"]["instance"]) for group in gateway.groups] == [("sergas", HOST)]
        assert "system_cpu_usage_percent{" in page
        assert "sergas_tests" not in page
        assert 'push_time_seconds{instance="",job="run"}' not in page
        assert re.search(r'sergas_gateway_pushes_total\{result="sent"\} [1-9]', get(f"{running.url}/metrics"))


@pytest.mark.integration
def test_program_pushes_what_it_has_collected(tmp_path: Path) -> None:
    with pushgateway(tmp_path) as gateway:
        environ = {**os.environ, "PROMETHEUS_GATEWAY": gateway.url}
        started = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environ, stdin=subprocess.PIPE)
        try:
            until(
                lambda: re.search(rf'active_users{{instance="{HOST}",job="shop"[^}}]*}} [1-9]', gateway.metrics),
                "later values",
            )
            assert [(group["labels"]["job"], group["labels"]["instance"]) for group in gateway.groups] == [
                ("shop", HOST)
            ]
        finally:
            started.communicate(b"\n", timeout=60)
        assert started.returncode == 0


@pytest.mark.integration
def test_gateway_that_is_the_sidecar_itself_is_skipped_with_a_line_and_a_metric(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("t0k3n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    options = ("--store", ":memory:", "--listen", f"127.0.0.1:{port}")
    with sidecar(tmp_path, *options, config=COLLECT, environ={"PROMETHEUS_GATEWAY": url}) as running:
        running.waits_for(f"{url} is this sidecar itself; nothing is pushed there")
        until(
            lambda: re.search(r'sergas_gateway_pushes_total\{result="skipped"\} [2-9]', get(f"{url}/metrics")),
            "it is skipped again",
            running.log,
        )
        assert running.printed.count("is this sidecar itself") == 1
        assert "sergas_groups 0\n" in get(f"{url}/metrics")


@pytest.mark.integration
def test_gateway_that_is_not_there_is_one_line_and_a_reload_leads_elsewhere(tmp_path: Path) -> None:
    with (
        refusing() as nobody,
        sidecar(tmp_path, "--store", ":memory:", config=f"{COLLECT}gateway = '{nobody}'\n") as running,
    ):
        until(
            lambda: re.search(r'sergas_gateway_pushes_total\{result="failed"\} [2-9]', get(f"{running.url}/metrics")),
            "it has failed",
            running.log,
        )
        assert running.printed.count("takes no metrics") == 1
        with pushgateway(tmp_path) as gateway:
            (tmp_path / "sergas.toml").write_text(f"{COLLECT}gateway = '{gateway.url}'\n", encoding="utf-8")
            running.send(signal.SIGHUP)
            until(lambda: gateway.groups, "a push to the new one", running.log)
