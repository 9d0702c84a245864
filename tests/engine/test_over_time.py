"""The series that the page plots."""

from __future__ import annotations

import pytest

from pytest_sergas.core.clock import Now
from pytest_sergas.engine.history import History
from pytest_sergas.engine.over_time import SHOWN, OverTime

pytestmark = pytest.mark.unit

CPU = SHOWN[0]
OWN = (("instance", "127.0.0.1:8000"), ("job", "sergas"))


def at(second: float) -> Now:
    return Now(second, second)


def record(history: History, second: float, value: float, labels: tuple[tuple[str, str], ...] = OWN) -> None:
    history.record("own", at(second), {CPU.metric: [(labels, value)]})


def test_values_are_told_by_their_age() -> None:
    history = History(limit=10_000, max_age_s=86_400)
    shown = OverTime(history)
    record(history, 1_000, 10)
    record(history, 1_600, 20)

    assert shown.points(CPU, at(1_700)) == [(-700, 10), (-100, 20)]
    assert shown.points(SHOWN[1], at(1_700)) == []


def test_of_many_values_the_largest_of_each_part_is_told() -> None:
    history = History(limit=10_000, max_age_s=86_400)
    shown = OverTime(history)
    for second in range(0, 21_600, 30):
        record(history, second, 90 if second == 3_000 else 10)

    found = shown.points(CPU, at(21_600))

    assert len(found) == 120
    assert [age_s for age_s, value in found if value == 90] == [3_000 - 21_600]


def test_values_of_others_are_not_told() -> None:
    history = History(limit=10_000, max_age_s=86_400)
    shown = OverTime(history)
    record(history, 1_000, 10, (("job", "shop"),))

    assert shown.points(CPU, at(1_000)) == []


def test_history_that_is_shorter_is_enough() -> None:
    assert OverTime(History(limit=10_000, max_age_s=600)).window_s == 600
