"""Rules that are Python functions in a running engine: found, told, and not held up by one that blocks."""

from __future__ import annotations

import threading

import pytest

from pytest_sergas.core.alert_rules import AlertRule
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType
from pytest_sergas.engine.python_rules import PythonRules
from pytest_sergas.errors import AlertRuleError
from tests.engine.alerted import Clock, Receiver, alerting, planned

pytestmark = pytest.mark.integration

HIGH = AlertRule("high", lambda m: m.value > 80, message_template="{metric_value}%")


def cpu(value: float) -> MonitoringMetric:
    return MonitoringMetric("cpu", value, None, MonitorType.SYSTEM)


async def test_rule_goes_through_the_same_states_and_channels() -> None:
    clock, chat = Clock(), Receiver()
    async with alerting(None, planned(chat), clock) as running:
        rules = PythonRules(running, clock)
        rules.add(HIGH)
        begun = await rules.evaluate([cpu(90)])
        again = await rules.evaluate([cpu(95)])
        await rules.evaluate([cpu(10)])
        await chat.until(2)

    assert [alert.message for alert in begun] == ["90%"]
    assert again == ()
    assert chat.told() == ["high fires", "high over"]


async def test_condition_that_blocks_delays_no_other_rule_and_keeps_its_state(caplog: pytest.LogCaptureFixture) -> None:
    clock, chat, free = Clock(), Receiver(), threading.Event()
    is_blocking = False
    runs = []

    def blocking(metric: MonitoringMetric) -> bool:
        runs.append(metric.value)
        return not is_blocking or free.wait(60)

    async with alerting(None, planned(chat), clock) as running:
        rules = PythonRules(running, clock, timeout_s=0.2)
        rules.add(AlertRule("blocking", blocking))
        await rules.evaluate([cpu(1)])
        is_blocking = True
        rules.add(HIGH)
        begun = await rules.evaluate([cpu(90)])
        await rules.evaluate([cpu(91)])  # it is not started a second time

        assert [alert.name for alert in begun] == ["high"]
        assert sorted(alert.name for alert in running.alerts()) == ["blocking", "high"]
        assert runs == [1, 90]
        free.set()
    assert "the condition of blocking has not come back within 0.2 s; what was before stays" in caplog.text


async def test_condition_that_exits_ends_only_its_thread(caplog: pytest.LogCaptureFixture) -> None:
    def leaving(metric: MonitoringMetric) -> bool:
        raise SystemExit(metric.value)

    clock = Clock()
    async with alerting(None, planned(Receiver()), clock) as running:
        rules = PythonRules(running, clock)
        rules.add(AlertRule("leaving", leaving))

        assert await rules.evaluate([cpu(1)]) == ()
    assert "the condition of leaving raised SystemExit; what was before stays" in caplog.text


async def test_rule_that_is_taken_away_ends_its_alerts() -> None:
    clock, chat = Clock(), Receiver()
    async with alerting(None, planned(chat), clock) as running:
        rules = PythonRules(running, clock)
        rules.add(HIGH)
        await rules.evaluate([cpu(90)])
        await rules.remove("high")
        await rules.remove("never there")
        await chat.until(2)

    assert chat.got[1].resolved[0].reason == "rule_gone"


async def test_rules_of_files_that_are_read_again_leave_those_of_the_program_alone() -> None:
    clock = Clock()
    async with alerting(None, planned(Receiver()), clock) as running:
        rules = PythonRules(running, clock)
        rules.add(HIGH)
        await rules.evaluate([cpu(90)])
        await running.keep_rules(frozenset())

        assert [alert.name for alert in running.alerts()] == ["high"]


async def test_second_rule_of_a_name_is_refused() -> None:
    clock = Clock()
    async with alerting(None, planned(Receiver()), clock) as running:
        rules = PythonRules(running, clock)
        rules.add(HIGH)
        with pytest.raises(AlertRuleError) as caught:
            rules.add(HIGH)

    assert str(caught.value) == "there is a rule 'high' already; give each a name of its own"
