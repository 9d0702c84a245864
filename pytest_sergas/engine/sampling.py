"""What rules and pages see of this sidecar: what a Prometheus would that scrapes it with ``honor_labels: true``.

Pushed values are there again at every sampling, with the labels of their group; the sidecar's own metrics and
those of its collectors get the labels of the sidecar, as its ``up`` does. (Targets that are scraped feed the
history themselves, see `Collection`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pytest_sergas.core.clock import Now
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.series import Labels, canonical, seen
from pytest_sergas.engine.history import History

JOB = "sergas"

_PUSHED, _OWN = "pushed", "own"


class Pushed(Protocol):
    """The pushed series. A name is that of a sample, with the suffix of a histogram."""

    def names(self) -> Iterable[str]:
        """Return the names that there are."""
        ...

    def series(self, name: str) -> Iterable[tuple[Labels, float]]:
        """Return the series of ``name``, none for a name that there is not; labels as `canonical` has them.

        The same labels had better be the same object each time: then they need no memory here.
        """
        ...


class OwnMetrics(Protocol):
    """Some of the sidecar's own metrics."""

    def families(self, now: Now) -> Sequence[Family]: ...


class Sampling:
    """Brings the present values of this sidecar into the history.

    Args:
        sources: what is exposed beside the pushed series, such as the store and the collection.
        instance: HOST:PORT of the sidecar.
    """

    def __init__(self, history: History, pushed: Pushed, sources: Sequence[OwnMetrics], *, instance: str) -> None:
        self._history = history
        self._pushed = pushed
        self._sources = sources
        self._target = canonical((("job", JOB), ("instance", instance)))

    def sample(self, now: Now) -> None:
        """Take everything that somebody selects; before each evaluation on the interval's grid."""
        wanted = [name for name in self._pushed.names() if self._history.wants(name)]
        self._history.record(_PUSHED, now, {name: self._pushed.series(name) for name in wanted})
        up = Family("up", "gauge", "Whether the sidecar answers.", (Sample((), 1.0),))
        own = (family for source in self._sources for family in source.families(now))
        self._history.record(_OWN, now, seen((up, *own), self._target))

    def sample_pushed(self, now: Now, names: Iterable[str]) -> None:
        """Take the pushed series of ``names`` alone, which may be gone: after a push, a DELETE or an expiry."""
        wanted = {name: self._pushed.series(name) for name in names if self._history.wants(name)}
        self._history.record(_PUSHED, now, wanted, partial=True)
