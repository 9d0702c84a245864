"""The few series of this sidecar that the page plots: kept from the start, so that there is something to see."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sergas.core.clock import Now
from pytest_sergas.core.series import NAME, Matcher
from pytest_sergas.engine.history import History
from pytest_sergas.engine.sampling import JOB

WINDOW_S = 6 * 3_600.0
_PARTS = 120  # of the window; more points than that nobody sees


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
        """Return seconds before ``now`` (negative) and values, oldest first: of each part of the window the largest."""
        largest: dict[int, tuple[float, float]] = {}
        start_s = now.monotonic_s - self.window_s
        for series in self._history.find(self._selections[shown]):
            for time_s, value in zip(*series.window(start_s, now.monotonic_s), strict=True):
                part = int((time_s - start_s) / self.window_s * _PARTS)
                if part not in largest or value > largest[part][1]:
                    largest[part] = (time_s - now.monotonic_s, value)
        return [largest[part] for part in sorted(largest)]
