"""The machine and the process: names, types and values that can be true."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from pytest_sergas.collectors.process import Process
from pytest_sergas.collectors.system import Disk, System, busy_percent
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType
from tests.collectors.conftest import by_name, plenty, values

pytestmark = pytest.mark.integration

TIMES: Mapping[str, float] = {"user": 10.0, "system": 5.0, "idle": 80.0, "iowait": 5.0, "guest": 4.0, "guest_nice": 0.0}


@pytest.mark.parametrize(
    ("spent", "percent"),
    [
        pytest.param({"user": 1.0, "idle": 3.0}, 25.0, id="user"),
        pytest.param({"user": 1.0, "system": 1.0, "idle": 1.0, "iowait": 1.0}, 50.0, id="waiting is idle"),
        pytest.param({"user": 1.0, "guest": 1.0, "idle": 1.0}, 50.0, id="guests are in user already"),
        pytest.param({"user": 2.0}, 100.0, id="all busy"),
        pytest.param({"idle": 2.0}, 0.0, id="all idle"),
        pytest.param({"idle": 0.09}, None, id="too little to say"),
        pytest.param({"user": 1.0, "idle": -1.0}, 100.0, id="a counter that ran backwards"),
    ],
)
def test_busy_is_what_is_not_idle(spent: Mapping[str, float], percent: float | None) -> None:
    after = {name: seconds + spent.get(name, 0.0) for name, seconds in TIMES.items()}

    assert busy_percent(TIMES, after) == (None if percent is None else pytest.approx(percent))


def test_cpu_use_is_that_since_the_last_time_whichever_thread_asks() -> None:
    system = System(before=dict.fromkeys(psutil.cpu_times()._fields, 0.0))
    thread = threading.Thread(target=system.collect, args=(plenty,))
    thread.start()
    thread.join()

    since = system.before
    assert sum(since.values()) > 0
    percent = values(system.collect(plenty))["system_cpu_usage_percent{}"]
    assert 0 <= percent <= 100
    assert sum(system.before.values()) >= sum(since.values())


def test_first_cpu_use_of_all_is_known() -> None:
    assert 0 <= values(System().collect(plenty))["system_cpu_usage_percent{}"] <= 100


def test_metrics_have_the_name_that_rules_in_python_ask_for_and_the_type_of_their_part() -> None:
    measured = {metric.name: metric for metric in System().collect(plenty) if isinstance(metric, MonitoringMetric)}

    wanted = {
        "cpu_usage_percent": MonitorType.CPU,
        "load1": MonitorType.CPU,
        "memory_usage_percent": MonitorType.MEMORY,
        "swap_usage_percent": MonitorType.MEMORY,
        "network_receive_bytes_total": MonitorType.NETWORK,
    }
    assert {name: measured[name].metric_type for name in wanted} == wanted
    assert {name: measured[name].exported_name for name in wanted} == {name: f"system_{name}" for name in wanted}


def test_memory_is_what_psutil_sees() -> None:
    found = values(System().collect(plenty))

    assert found["system_memory_total_bytes{}"] == psutil.virtual_memory().total
    assert 0 < found["system_memory_available_bytes{}"] <= found["system_memory_total_bytes{}"]
    assert 0 <= found["system_memory_usage_percent{}"] <= 100
    assert found["system_swap_total_bytes{}"] == psutil.swap_memory().total
    assert found["system_load1{}"] >= 0


def test_network_is_counted_for_each_interface() -> None:
    family = by_name(System().collect(plenty))["system_network_receive_bytes_total"]

    assert family.type == "counter"
    assert {dict(sample.labels)["interface"] for sample in family.samples} == set(psutil.net_io_counters(pernic=True))


def test_disk_space_is_that_of_each_mounted_disk() -> None:
    found = values(Disk().collect(plenty))

    assert 0 < found["system_disk_free_bytes{mountpoint=/}"] <= found["system_disk_total_bytes{mountpoint=/}"]
    assert 0 <= found["system_disk_usage_percent{mountpoint=/}"] <= 100


def test_process_is_this_one(tmp_path: Path) -> None:
    before = values(Process().collect(plenty))
    with (tmp_path / "open").open("w"):
        after = values(Process().collect(plenty))

    assert after["process_open_fds{}"] == before["process_open_fds{}"] + 1
    assert after["process_start_time_seconds{}"] == psutil.Process(os.getpid()).create_time()
    assert after["process_cpu_seconds_total{}"] >= before["process_cpu_seconds_total{}"] > 0
    assert after["process_resident_memory_bytes{}"] < after["process_virtual_memory_bytes{}"]
    assert after["process_threads{}"] >= 1
