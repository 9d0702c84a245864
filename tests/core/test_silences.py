"""Silences and maintenance windows: whom they keep quiet, and until when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.routes import read_matcher
from pytest_sergas.core.silences import DAYS, Muted, Muting, Silence, Window

pytestmark = pytest.mark.unit

SHOP = (("job", "shop"),)
OTHER = (("job", "other"),)
MATCHERS = (read_matcher("job=shop"),)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def silence(starts_s: float, ends_s: float, id_: str = "a") -> Silence:
    return Silence(id_, MATCHERS, starts_s, ends_s)


def test_silence_mutes_what_it_matches_until_its_end_however_far_the_clock_is_set_back() -> None:
    muting = Muting([silence(100, 200)])

    assert [muting.at(wall_s)(SHOP) is not None for wall_s in (0, 99.9, 100, 199.9, 200)] == [*[True] * 4, False]
    assert muting.at(150)(OTHER) is None


def test_reason_names_the_silence_that_lasts_longest() -> None:
    muting = Muting([silence(0, 200, "short"), silence(0, 300, "long")])

    assert muting.at(150)(SHOP) == Muted("silence long", 300)


NIGHT = Window("backup", MATCHERS, ("sat",), 22 * 3600.0, 2 * 3600.0)


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        pytest.param("2025-10-25T21:59:59", None, id="before"),
        pytest.param("2025-10-25T22:00:00", "2025-10-26T02:00:00", id="begins on Saturday"),
        pytest.param("2025-10-26T01:59:59", "2025-10-26T02:00:00", id="goes on until Sunday"),
        pytest.param("2025-10-26T02:00:00", None, id="over"),
        pytest.param("2025-10-26T22:00:00", None, id="not on Sunday"),
    ],
)
def test_window_that_ends_no_later_than_it_begins_ends_on_the_next_day(moment: str, ends: str | None) -> None:
    assert NIGHT.until(at(moment)) == (None if ends is None else at(ends))


def test_window_follows_its_time_zone() -> None:
    berlin_s = 2 * 3600.0

    assert NIGHT.until(at("2025-10-25T20:00:00"), berlin_s) == at("2025-10-26T00:00:00")
    assert NIGHT.until(at("2025-10-26T00:00:00"), berlin_s) is None


def test_window_of_a_whole_day_lasts_until_midnight() -> None:
    window = Window("day", (), ("sun",), 0.0, 24 * 3600.0)

    assert window.until(at("2025-10-26T12:00:00")) == at("2025-10-27T00:00:00")


def test_window_mutes_what_it_matches() -> None:
    muting = Muting((), [NIGHT])

    assert muting.at(at("2025-10-25T23:00:00"))(SHOP) == Muted("maintenance backup", at("2025-10-26T02:00:00"))
    assert muting.at(at("2025-10-25T23:00:00"))(OTHER) is None


def test_muting_asks_for_the_offset_of_the_windows_zone() -> None:
    asked: list[tuple[str, float]] = []

    def offset_s(zone: str, wall_s: float) -> float:
        asked.append((zone, wall_s))
        return 0.0

    Muting((), [Window("a", (), DAYS, 0.0, 60.0, "Europe/Berlin")], offset_s).at(5.0)

    assert asked == [("Europe/Berlin", 5.0)]


@given(
    st.floats(0, 4e9), st.integers(0, 1439), st.integers(0, 1440), st.sets(st.sampled_from(DAYS)), st.integers(-12, 14)
)
def test_window_always_ends_in_the_future_within_a_day(
    wall_s: float, from_m: int, to_m: int, days: set[str], offset_h: int
) -> None:
    ends_s = Window("a", (), tuple(days), from_m * 60.0, to_m * 60.0).until(wall_s, offset_h * 3600.0)

    assert ends_s is None or wall_s < ends_s <= wall_s + 86_400.001
