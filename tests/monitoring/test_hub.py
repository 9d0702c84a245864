"""The one engine behind the classes: whoever calls, however often, until the program has ended."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_sergas import (
    AlertLevel,
    AlertManager,
    AlertRule,
    ComprehensiveMonitoringSystem,
    HealthChecker,
    MetricsCollector,
    Notification,
    WebhookNotificationChannel,
)
from pytest_sergas.monitoring.hub import EXIT_S
from tests.monitoring.test_system import FEW, orders
from tests.servers.disk import disk, may_mount
from tests.servers.gateways import Answering, answering, hanging

pytestmark = pytest.mark.integration

MANY = AlertRule("many_orders", lambda metric: metric.name == "orders" and metric.value > 50, AlertLevel.WARNING)


@pytest.fixture
def receiver() -> Iterator[Answering]:
    with answering() as server:
        yield server


def notified(receiver: Answering) -> list[tuple[str, str]]:
    """Return name and status of every alert that arrived, in order."""
    documents = [json.loads(request.body) for request in receiver.received]
    return [(alert["labels"]["alertname"], alert["status"]) for one in documents for alert in one["alerts"]]


def arrives(receiver: Answering, count: int) -> list[tuple[str, str]]:
    end_s = time.monotonic() + 60
    while len(notified(receiver)) < count and time.monotonic() < end_s:
        time.sleep(0.02)
    return notified(receiver)


def manager(receiver: Answering, *rules: AlertRule) -> AlertManager:
    made = AlertManager(alert_cooldown=0)
    made.add_notification_channel(WebhookNotificationChannel(receiver.url))
    for rule in rules or (FEW,):
        made.add_rule(rule)
    return made


def test_manager_alone_notifies_from_plain_code_once_and_tells_the_end(receiver: Answering) -> None:
    alone = manager(receiver)

    told = [len(alone.evaluate_metrics(orders([value])())) for value in (3.0, 3.0)]
    first = arrives(receiver, 1)
    history = [(event.event, event.channel) for event in alone.get_alert_history()]
    alone.evaluate_metrics(orders([9.0])())

    assert told == [1, 0]
    assert first == [("few_orders", "firing")]
    assert history == [("firing", ""), ("told", "webhook")]
    assert alone.get_active_alerts() == []
    assert alone.get_alert_trends()["by_level"].popitem()[1] == {"error": 1}
    # The second message about a group comes at its interval, and at once when nobody asks the manager any more.
    del alone
    gc.collect()
    assert arrives(receiver, 2) == [("few_orders", "firing"), ("few_orders", "resolved")]


def test_manager_alone_keeps_the_cap(receiver: Answering) -> None:
    alone = AlertManager(max_alerts_per_minute=1)
    alone.add_notification_channel(WebhookNotificationChannel(receiver.url))
    for name in ("a", "b"):
        alone.add_rule(AlertRule(name, lambda metric: metric.value > 0))
    alone.evaluate_metrics([metric for metric in orders([1.0])() if metric])
    arrives(receiver, 2)
    alone.add_rule(AlertRule("c", lambda metric: metric.value > 0))
    alone.evaluate_metrics(orders([1.0])())
    held: list[object] = []
    while not held:
        held = [event for event in alone.get_alert_history() if event.why == "rate_cap"]
        time.sleep(0.1)

    assert len(receiver.received) == 1
    assert [event.name for event in alone.get_alert_history() if event.why == "rate_cap"] == ["c"]


async def test_manager_alone_notifies_inside_a_running_loop(receiver: Answering) -> None:
    alone = manager(receiver)

    assert [alert.name for alert in alone.evaluate_metrics(orders([3.0])())] == ["few_orders"]
    assert await asyncio.to_thread(arrives, receiver, 1) == [("few_orders", "firing")]


def test_engine_goes_on_from_one_event_loop_to_the_next(receiver: Answering) -> None:
    alone = manager(receiver, FEW, MANY)

    async def evaluate(value: float) -> list[str]:
        return [alert.name for alert in alone.evaluate_metrics(orders([value])())]

    assert asyncio.run(evaluate(3.0)) == ["few_orders"]
    assert arrives(receiver, 1) == [("few_orders", "firing")]
    assert asyncio.run(evaluate(3.0)) == []
    assert asyncio.run(evaluate(99.0)) == ["many_orders"]


def test_system_that_one_loop_started_another_may_ask_and_stop() -> None:
    system = ComprehensiveMonitoringSystem()
    asyncio.run(system.start_monitoring())
    status = asyncio.run(system.get_system_status())
    asyncio.run(system.stop_monitoring())

    assert status["health"]["individual"].keys() == {"SystemHealthCheck"}
    assert not system.is_running


def test_two_systems_of_one_process_know_nothing_of_each_other(receiver: Answering) -> None:
    one, other = (ComprehensiveMonitoringSystem({"alert_webhook_url": receiver.url}) for _ in range(2))
    one.add_custom_alert_rule(FEW)
    one.add_custom_metric_collector(orders([3.0]))
    one.alert_manager.evaluate_metrics(orders([3.0])())

    assert len(one.alert_manager.get_active_alerts()) == 1
    assert other.alert_manager.get_active_alerts() == []
    assert other.alert_manager.evaluate_metrics(orders([3.0])()) == []
    assert "orders" not in {metric.name for metric in other.metrics_collector.collect_metrics()}


def test_classes_start_no_thread_before_they_are_asked() -> None:
    before = set(threading.enumerate())
    made = (AlertManager(), MetricsCollector(), HealthChecker(), ComprehensiveMonitoringSystem())
    made[0].add_rule(FEW)
    made[2].add_provider(lambda: True)

    assert set(threading.enumerate()) - before == set()


def test_condition_that_raises_is_named_and_the_next_one_notifies(receiver: Answering) -> None:
    def broken(metric: object) -> bool:
        raise LookupError(metric)

    alone = manager(receiver, AlertRule("broken", broken), FEW)
    alone.evaluate_metrics(orders([3.0])())

    assert alone.faults["broken"].startswith("the condition of broken raised LookupError: ")
    assert arrives(receiver, 1) == [("few_orders", "firing")]


async def test_channel_of_a_program_is_awaited_in_the_loop_that_it_was_added_in() -> None:
    loops: asyncio.Queue[asyncio.AbstractEventLoop] = asyncio.Queue()

    class Pager:
        name = "pager"
        secrets = ()
        resend_s = None

        async def send(self, notification: Notification, *, timeout_s: float) -> str:
            del notification, timeout_s
            await loops.put(asyncio.get_running_loop())
            return ""

    alone = AlertManager()
    alone.add_notification_channel(Pager())
    alone.add_rule(FEW)
    alone.evaluate_metrics(orders([3.0])())

    async with asyncio.timeout(60):
        assert await loops.get() is asyncio.get_running_loop()


def test_asking_in_the_loop_of_the_engine_is_refused_and_not_waited_for() -> None:
    alone = AlertManager()
    alone.add_rule(FEW)
    answers: list[object] = []

    def ask(engine: object) -> None:
        del engine
        answers.append(alone.get_active_alerts())
        try:
            alone.get_alert_history()
        except RuntimeError as error:
            answers.append(str(error))

    alone.evaluate_metrics(orders([3.0])())
    alone._hub.ask(ask)  # noqa: SLF001  as a channel would that is awaited there

    assert [len(answers[0]), answers[1]] == [  # type: ignore[arg-type]  # a list of alerts
        1,
        "called in the engine's own event loop, such as in a channel; call it on another thread",
    ]


PROGRAM = """
    import os, sys, time
    from pytest_sergas import *

    def orders(value):
        return [MonitoringMetric("orders", value, None, MonitorType.BUSINESS)]

    manager = AlertManager()
    manager.add_notification_channel(WebhookNotificationChannel(sys.argv[1]))
    manager.add_rule(AlertRule("few", lambda m: m.value < 5))
    manager.add_rule(AlertRule("none", lambda m: m.value < 1))
"""


def run(text: str, *arguments: str) -> tuple[float, str]:
    """Run a program; return how many seconds it took, and its standard error."""
    code = textwrap.dedent(PROGRAM) + textwrap.dedent(text)
    began_s = time.monotonic()
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began_s, done.stderr


def test_program_that_ends_at_once_has_notified(receiver: Answering) -> None:
    _, errors = run("manager.evaluate_metrics(orders(3))", receiver.url)

    assert notified(receiver) == [("few", "firing")]
    assert errors == ""


def test_channel_that_hangs_holds_up_the_end_of_a_program_no_longer_than_stated() -> None:
    with hanging() as url:
        plain_s, _ = run("manager.evaluate_metrics(orders(9))", url)
        hanging_s, errors = run("manager.evaluate_metrics(orders(3))", url)

    assert EXIT_S - 1 < hanging_s - plain_s < EXIT_S + 8  # under load everything takes its time
    assert "1 notifications were not delivered in the 5 s that there are at the end" in errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_child_of_a_fork_has_an_engine_of_its_own_and_repeats_nothing(receiver: Answering) -> None:
    _, errors = run(
        """
        manager.evaluate_metrics(orders(3))
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            assert [alert.name for alert in manager.get_active_alerts()] == ["few"]
        else:
            assert manager.get_active_alerts() == []
            manager.evaluate_metrics(orders(0))
        """,
        receiver.url,
    )

    assert sorted(notified(receiver)) == [("few", "firing"), ("few", "firing"), ("none", "firing")]
    assert errors == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_system_of_a_parent_does_not_run_in_its_child(tmp_path: Path) -> None:
    run(
        """
        import asyncio
        system = ComprehensiveMonitoringSystem({"root": sys.argv[2], "store": "shop.db"})
        asyncio.run(system.start_monitoring())
        if child := os.fork():
            assert os.waitpid(child, 0)[1] == 0
            assert system.is_running
            asyncio.run(system.get_system_status())
            asyncio.run(system.stop_monitoring())
        else:
            assert not system.is_running
        """,
        "http://127.0.0.1:9/",
        str(tmp_path),
    )


@pytest.mark.skipif(not may_mount(), reason="needs the right to mount")
def test_alert_is_notified_with_a_store_on_a_disk_that_is_full(tmp_path: Path, receiver: Answering) -> None:
    with disk(tmp_path / "small", 1024) as small:
        system = ComprehensiveMonitoringSystem(
            {"root": small.path, "store": "shop.db", "alert_webhook_url": receiver.url}
        )
        system.add_custom_alert_rule(FEW)
        system.alert_manager.get_active_alerts()
        system.metrics_collector.get_prometheus_metrics()  # the engine is open
        with (small.path / "fill").open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1024)):
                pass
        told = system.alert_manager.evaluate_metrics(orders([3.0])())
        arrived = arrives(receiver, 1)
        active = system.alert_manager.get_active_alerts()
        (small.path / "fill").unlink()
        del system
        gc.collect()  # which closes the store
        while (small.path / "shop.db-wal").exists():
            time.sleep(0.05)

    assert [alert.name for alert in told] == [alert.name for alert in active] == ["few_orders"]
    assert arrived == [("few_orders", "firing")]
