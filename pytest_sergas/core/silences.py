"""What keeps a firing alert from being told: silences, which somebody sets, and maintenance windows, which come again.

A silence also is how somebody says "I have seen it": what is silenced is not escalated. The end of an alert that was
told is told all the same: it is owed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pytest_sergas.core.routes import Matches, all_of
from pytest_sergas.core.series import Labels, Matcher

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY_S = 86_400.0
_EPOCH_DAY = 3  # 1 January 1970 was a Thursday

Offset = Callable[[str, float], float]


def _utc(timezone: str, wall_s: float) -> float:
    del timezone, wall_s
    return 0.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that all ``matchers`` match are not told until ``ends_s``; seconds since the epoch.

    Attributes:
        starts_s: when it was made, for people. A silence is in force from then on, and a wall clock that is set back
            to before that changes nothing.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_s: float
    ends_s: float
    created_by: str = ""
    comment: str = ""

    def is_active(self, wall_s: float) -> bool:
        return wall_s < self.ends_s


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window: alerts that all ``matchers`` match are not told on ``days`` within a span of the day.

    Attributes:
        days: of `DAYS`: those on which it begins.
        from_s, to_s: seconds since midnight; a window that ends no later than it begins ends on the next day.
        timezone: whose days and times these are.
    """

    name: str
    matchers: tuple[Matcher, ...]
    days: tuple[str, ...]
    from_s: float
    to_s: float
    timezone: str = "UTC"

    def until(self, wall_s: float, offset_s: float = 0.0) -> float | None:
        """Return when the window ends that ``wall_s`` lies in, in the same seconds, or None when it lies in none.

        Args:
            offset_s: how many seconds the time zone is ahead of UTC at ``wall_s``.
        """
        local_s = wall_s + offset_s
        length_s = (self.to_s - self.from_s) % _DAY_S or _DAY_S
        today = local_s // _DAY_S
        for day in (today, today - 1):
            begin_s = day * _DAY_S + self.from_s
            if DAYS[int(day + _EPOCH_DAY) % 7] in self.days and begin_s <= local_s < begin_s + length_s:
                return wall_s + begin_s + length_s - local_s
        return None


@dataclass(frozen=True, slots=True)
class Muted:
    """Why an alert is not told: what ``by`` names, ``until`` (seconds since the epoch)."""

    by: str
    until_s: float


class Muting:
    """Silences and windows, ready to be asked.

    Args:
        offset_s: name of a time zone and seconds since the epoch → how many seconds it is ahead of UTC then.
    """

    def __init__(
        self, silences: Iterable[Silence] = (), windows: Iterable[Window] = (), offset_s: Offset = _utc
    ) -> None:
        self._offset_s = offset_s
        self._silences = [(silence, all_of(silence.matchers)) for silence in silences]
        self._windows = [(window, all_of(window.matchers)) for window in windows]

    def at(self, wall_s: float) -> Callable[[Labels], Muted | None]:
        """Return what tells for labels whether, at ``wall_s``, an alert with them is muted, and by what longest."""
        found: list[tuple[Muted, Matches]] = [
            (Muted(f"silence {silence.id}", silence.ends_s), matches)
            for silence, matches in self._silences
            if silence.is_active(wall_s)
        ]
        for window, matches in self._windows:
            if (until_s := window.until(wall_s, self._offset_s(window.timezone, wall_s))) is not None:
                found.append((Muted(f"maintenance {window.name}", until_s), matches))
        found.sort(key=lambda pair: -pair[0].until_s)

        def muted(labels: Labels) -> Muted | None:
            if not found:
                return None
            given: Mapping[str, str] = dict(labels)
            return next((reason for reason, matches in found if matches(given)), None)

        return muted
