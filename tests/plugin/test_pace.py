"""How slow the core is beside its best, from loops whose times are said here."""

from __future__ import annotations

import pytest

from pytest_sergas.plugin import pace
from pytest_sergas.plugin.pace import Pace

pytestmark = pytest.mark.unit


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the next loops; one when nothing is said."""
    times: list[float] = []
    monkeypatch.setattr(pace, "_loop_s", lambda: times.pop(0) if times else 1.0)
    return times


def test_slowness_is_the_mean_round_the_call_beside_the_best(said: list[float]) -> None:
    measured = Pace()
    said += [1.5, 2.5]

    measured.start()

    assert measured.slowness() == 2.0


def test_core_is_never_faster_than_at_its_best(said: list[float]) -> None:
    measured = Pace()
    said += [0.5, 0.5]

    measured.start()

    assert measured.slowness() == 1.0


def test_best_is_the_fastest_loop_so_far(said: list[float]) -> None:
    measured = Pace()
    said += [0.5, 1.0, 1.0, 1.0]
    measured.start()
    measured.slowness()

    measured.start()

    assert measured.slowness() == 2.0


def test_loop_takes_cpu_time() -> None:
    assert Pace().slowness() >= 1.0
