"""Functions and classes of others: how they are found and called, and what is said when they cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_sergas.collectors.custom import adapted, create
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.monitoring import MonitoringMetric, MonitorType
from pytest_sergas.errors import ConfigurationError, MetricError
from tests.collectors.conftest import context, plenty, values

pytestmark = pytest.mark.unit

USERS = MonitoringMetric("users", 1, None, MonitorType.CUSTOM)


def one_user() -> list[MonitoringMetric]:
    return [USERS]


class Made:
    """A class that counts how often it is made."""

    made = 0

    def __init__(self) -> None:
        Made.made += 1

    def collect(self) -> list[MonitoringMetric]:
        return [USERS]


class NeedsMore:
    """A class that cannot be made without arguments."""

    def __init__(self, queue: str) -> None:
        self.queue = queue

    def collect(self) -> list[MonitoringMetric]:
        return []


class CollectsNothing:
    """A class without the method."""


async def coroutine() -> list[MonitoringMetric]:
    return [USERS]


def generator() -> Iterator[MonitoringMetric]:
    yield USERS


def with_time(remaining_s: Callable[[], float]) -> list[MonitoringMetric]:
    return [MonitoringMetric("left", remaining_s(), None, MonitorType.CUSTOM)]


def with_default(name: str = "users") -> list[MonitoringMetric]:
    return [MonitoringMetric(name, 1, None, MonitorType.CUSTOM)]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(one_user, id="function"),
        pytest.param(Made, id="class"),
        pytest.param(Made(), id="object"),
        pytest.param(generator, id="generator"),
        pytest.param(with_default, id="arguments that may be left out"),
        pytest.param(lambda: USERS, id="one metric instead of a list"),
        pytest.param(lambda: [Family("custom_users", "gauge", "", (Sample((), 1.0),))], id="family"),
    ],
)
def test_anything_that_gives_metrics_is_a_collector(given: object) -> None:
    assert values(adapted(given).collect(plenty)) == {"custom_users{}": 1}


def test_function_may_ask_how_much_time_it_has() -> None:
    assert values(adapted(with_time).collect(lambda: 7.0)) == {"custom_left{}": 7.0}


def test_class_is_made_once() -> None:
    before = Made.made
    collector = adapted(Made)
    collector.collect(plenty)
    collector.collect(plenty)

    assert Made.made == before + 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param(5, "5 is neither a function nor has it a method collect", id="number"),
        pytest.param(
            coroutine,
            "coroutine is a coroutine function; collectors run on threads, write def, not async def",
            id="coroutine",
        ),
        pytest.param(CollectsNothing, "the class CollectsNothing has no method collect", id="class without the method"),
        pytest.param(
            NeedsMore,
            "NeedsMore() failed: TypeError: NeedsMore.__init__() missing 1 required positional argument: 'queue'",
            id="class with arguments",
        ),
    ],
)
def test_what_is_no_collector_says_why(given: object, text: str) -> None:
    with pytest.raises(MetricError) as raised:
        adapted(given)

    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        pytest.param(None, "it returned None: allowed: a list of MonitoringMetric", id="nothing"),
        pytest.param(5, "it returned 5: allowed: a list of MonitoringMetric", id="number"),
        pytest.param([5], "its list holds 5: allowed: MonitoringMetric", id="list of numbers"),
    ],
)
def test_what_is_no_metric_says_so(returned: Any, text: str) -> None:
    with pytest.raises(MetricError) as raised:
        adapted(lambda: returned).collect(plenty)

    assert str(raised.value) == text


def test_configuration_names_functions_and_classes(tmp_path: Path) -> None:
    made = create(context(tmp_path, custom=(f"{__name__}:one_user", f"{__name__}:Made", f"{__name__}:one_user")))

    assert [source.name for source in made] == [f"{__name__}:one_user", f"{__name__}:Made"]
    assert [values(source.collector.collect(plenty)) for source in made] == [{"custom_users{}": 1}] * 2


def test_module_beside_the_configuration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "metrics_beside.py").write_text("def collect(): return []\n", encoding="utf-8")

    [source] = create(context(tmp_path, custom=("metrics_beside:collect",)))

    assert values(source.collector.collect(plenty)) == {}


def test_all_that_cannot_be_used_is_said_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_metrics.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    custom = ("broken_metrics:collect", "no_such_module:collect", f"{__name__}:missing", f"{__name__}:coroutine")

    with pytest.raises(ConfigurationError) as raised:
        create(context(tmp_path, custom=custom))

    reasons = (
        "broken_metrics cannot be imported: ZeroDivisionError: division by zero",
        "no_such_module cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        f"{__name__} has no missing",
        "coroutine is a coroutine function; collectors run on threads, write def, not async def",
    )
    assert raised.value.faults == tuple(
        f"[collect] custom = {name!r}: {reason}" for name, reason in zip(custom, reasons, strict=True)
    )
