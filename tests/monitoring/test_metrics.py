"""The collector of the specification: alone, from a thread, from a running loop, and with collectors that misbehave."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from pytest_sergas import MetricError, MetricsCollector, MonitoringMetric, MonitorType
from pytest_sergas.config.collect import CollectSettings
from pytest_sergas.core.exposition import parse

pytestmark = pytest.mark.integration


def orders() -> list[MonitoringMetric]:
    return [MonitoringMetric("orders", 3, None, MonitorType.BUSINESS)]


@pytest.fixture
def collector() -> MetricsCollector:
    return MetricsCollector(CollectSettings(timeout=0.5, disabled=("container", "process")))


def test_alone_it_measures_the_machine_and_functions_of_ours(collector: MetricsCollector) -> None:
    collector.add_collector(orders)

    names = {metric.name for metric in collector.collect_metrics()}

    assert {"cpu_usage_percent", "memory_usage_percent", "orders"} <= names


def test_page_is_valid_and_has_recorded_requests(collector: MetricsCollector) -> None:
    collector.add_collector(orders)
    collector.record_http_request(method="GET", endpoint="/api/users", status=200, duration=0.150)

    page = collector.get_prometheus_metrics()

    parse(page.encode())
    assert 'http_requests_total{method="GET",endpoint="/api/users",status="200"} 1\n' in page
    assert "# TYPE system_cpu_usage_percent gauge\n" in page
    assert "business_orders 3\n" in page


async def test_running_loop_may_collect(collector: MetricsCollector) -> None:
    assert collector.collect_metrics()
    assert "system_cpu_usage_percent" in collector.get_prometheus_metrics()


def test_collector_that_blocks_or_raises_costs_only_its_own_metrics(collector: MetricsCollector) -> None:
    release = threading.Event()

    def blocks() -> list[MonitoringMetric]:
        release.wait(60)
        return []

    def raises() -> list[MonitoringMetric]:
        raise LookupError("no orders")

    for function in (blocks, raises, orders):
        collector.add_collector(function)
    try:
        names = {metric.name for metric in collector.collect_metrics()}
        page = collector.get_prometheus_metrics()
    finally:
        release.set()

    assert {"cpu_usage_percent", "orders"} <= names
    down = [line for line in page.splitlines() if line.startswith("sergas_collector_up") and line.endswith(" 0")]
    assert [line.partition("<locals>.")[2] for line in down] == ['blocks"} 0', 'raises"} 0']


def test_functions_of_one_name_are_told_apart(collector: MetricsCollector) -> None:
    for value in (1, 2):

        def users(value: int = value) -> list[MonitoringMetric]:
            return [MonitoringMetric(f"users_{value}", value, None, MonitorType.CUSTOM)]

        collector.add_collector(users)

    assert {"users_1", "users_2"} <= {metric.name for metric in collector.collect_metrics()}


def test_what_is_no_collector_is_refused(collector: MetricsCollector) -> None:
    with pytest.raises(MetricError, match=r"^7 is neither a function nor has it a method collect$"):
        collector.add_collector(7)


def test_threads_may_record_at_once(collector: MetricsCollector) -> None:
    async def record() -> None:
        def work() -> None:
            for _ in range(100):
                collector.record_http_request("GET", "/a", 200, 0.1)

        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))

    asyncio.run(record())

    assert 'http_requests_total{method="GET",endpoint="/a",status="200"} 400\n' in collector.get_prometheus_metrics()


def test_collector_that_nobody_holds_leaves_no_thread() -> None:
    before = threading.enumerate()  # the threads themselves: an identity is used again when its thread has ended
    collector = MetricsCollector(CollectSettings(disabled=("container", "process")))
    collector.collect_metrics()
    [thread] = [one for one in threading.enumerate() if one.name == "sergas engine" and one not in before]

    del collector
    gc.collect()

    thread.join(60)
    assert not thread.is_alive()
