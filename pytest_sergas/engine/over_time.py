"""The few series of this sidecar that the page plots: kept from the start, so that there is something to see."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sergas.core.clock import Now
from pytest_sergas.core.series import NAME, Matcher
from pytest_sergas.engine.history import History
from pytest_sergas.engine.sampling import JOB

WINDOW_S = 6 * 3_600.0
_PARTS = 120  # more points than that nobody sees


@dataclass(frozen=True, slots=True)
class Shown:
    """What is plotted under ``title``; the axis reaches at least to ``least_top``."""

    title: str
    metric: str
    unit: str
    least_top: float


SHOWN = (
    Shown("CPU", "system_cpu_usage_percent", "%", 100.0),
    Shown("Memory", "system_memory_usage_percent", "%", 100.0),
    Shown("Load", "system_load1", "", 1.0),
)


class OverTime:
    """Selects what is `SHOWN` from ``history``, as far back as that goes, at most `WINDOW_S`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.window_s = min(WINDOW_S, history.max_age_s)
        self._selections = {
            shown: history.select((Matcher(NAME, "=", shown.metric), Matcher("job", "=", JOB)), window_s=self.window_s)
            for shown in SHOWN
        }

    def points(self, shown: Shown, now: Now) -> list[tuple[float, float]]:
        """Return seconds before ``now`` (negative) and values, oldest first: of each part of the time the largest."""
        start_s = now.monotonic_s - self.window_s
        windows = [series.window(start_s, now.monotonic_s) for series in self._history.find(self._selections[shown])]
        first_s = min((times_s[0] for times_s, _ in windows if times_s), default=start_s)
        width_s = max(now.monotonic_s - first_s, 1.0) / _PARTS
        largest: dict[int, tuple[float, float]] = {}
        for times_s, values in windows:
            for time_s, value in zip(times_s, values, strict=True):
                part = int((time_s - first_s) / width_s)
                if part not in largest or value > largest[part][1]:
                    largest[part] = (time_s - now.monotonic_s, value)
        return [largest[part] for part in sorted(largest)]
