"""What the history of samples costs: bytes a series and a sample, and times as ratios within one run."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable

import pytest

from pytest_sergas.core.clock import Now
from pytest_sergas.core.series import NAME, Labels, Matcher, canonical
from pytest_sergas.engine.history import History
from tests.benchmarks.runs import show

pytestmark = pytest.mark.performance

SERIES = 10_000
SAMPLES = 120
RULES = 1_000
NAME_OF_ALL = "sergas_tests"
ROUNDS = 5

# An array of doubles grows by an eighth, so that it holds at most so much more than it needs.
SAMPLE_BOUND_BYTES = 16 * 9 / 8 + 1
SERIES_BOUND_BYTES = 1_024


def present() -> list[tuple[Labels, float]]:
    """Return one value for each series, all under one name."""
    return [
        (canonical((("job", f"project {number // 10}"), ("outcome", f"o{number % 10}"), ("type", "unit"))), 1.0)
        for number in range(SERIES)
    ]


def at(second: float) -> Now:
    return Now(second, second)


def selecting(history: History, rules: int) -> None:
    for rule in range(rules):
        history.select((Matcher(NAME, "=", NAME_OF_ALL), Matcher("job", "=", f"project {rule}")), window_s=3_600)


def fresh() -> History:
    return History(limit=10_000, max_age_s=86_400)


def median_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def test_series_and_samples_are_small() -> None:
    series = present()
    history = fresh()
    selecting(history, RULES)
    gc.collect()
    tracemalloc.start()
    try:
        history.record("x", at(0), {NAME_OF_ALL: series})
        gc.collect()
        first_bytes, _ = tracemalloc.get_traced_memory()
        for second in range(1, SAMPLES):
            history.record("x", at(second), {NAME_OF_ALL: series})
        gc.collect()
        all_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    a_sample = (all_bytes - first_bytes) / (SERIES * (SAMPLES - 1))
    a_series = first_bytes / SERIES

    show(
        f"the history, {SERIES} series of one name, {RULES} selections, {SAMPLES} samples each",
        ("", "bytes", "bound"),
        ("a sample", f"{a_sample:.1f}", f"{SAMPLE_BOUND_BYTES:.1f}"),
        ("a series with its first sample, index included", f"{a_series:.0f}", f"{SERIES_BOUND_BYTES}"),
    )
    assert a_sample <= SAMPLE_BOUND_BYTES
    assert a_series <= SERIES_BOUND_BYTES


def test_many_selections_of_one_name_cost_little() -> None:
    """The bounds are ratios to the cheapest way of looking at every series: one selection of all of them."""
    series = present()

    def first(rules: int) -> float:
        def record() -> None:
            history = fresh()
            selecting(history, rules)
            history.record("x", at(0), {NAME_OF_ALL: series})

        return median_s(record)

    def later(rules: int) -> float:
        history = fresh()
        selecting(history, rules)
        seconds = iter(range(100))
        history.record("x", at(next(seconds)), {NAME_OF_ALL: series})
        return median_s(lambda: history.record("x", at(next(seconds)), {NAME_OF_ALL: series}))

    few, many = first(1), first(RULES)
    few_later, many_later = later(1), later(RULES)
    history = fresh()
    selecting(history, RULES)
    history.record("x", at(0), {NAME_OF_ALL: series})
    selections = [
        history.select((Matcher(NAME, "=", NAME_OF_ALL), Matcher("job", "=", f"project {rule}")))
        for rule in range(RULES)
    ]
    looking = median_s(lambda: [[found.at(0.0) for found in history.find(each)] for each in selections])

    show(
        f"{SERIES} series of one name",
        ("", "1 selection", f"{RULES} selections", "ratio"),
        ("recorded for the first time", f"{few * 1e3:.1f} ms", f"{many * 1e3:.1f} ms", f"{many / few:.2f}"),
        ("recorded again", f"{few_later * 1e3:.1f} ms", f"{many_later * 1e3:.1f} ms", f"{many_later / few_later:.2f}"),
        (f"all values of {RULES} selections", "", f"{looking * 1e3:.1f} ms", f"{looking / many_later:.2f}"),
    )
    # Compared with every selection, a new series would cost a thousand times as much.
    assert many < 10 * few
    assert many_later < 5 * few_later
    assert looking < 3 * many_later
