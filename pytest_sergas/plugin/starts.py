"""Which tests have begun and not reported anything yet: all that is known of a test whose process dies.

pytest-rerunfailures keeps the reports of an attempt back until it is over, and a worker that dies takes
them with it. Its start, however, has been announced.
"""

from __future__ import annotations

from pytest_sergas.own import Own

Location = tuple[str, int | None, str]


# When a test began (seconds since the Unix epoch, as seen from here), and where it stands.
# A bare pair, because one is made for every test, and hardly any is ever looked at.
Start = tuple[float, Location]


class Starts:
    """Keeps the announced starts until somebody takes them."""

    def __init__(self) -> None:
        self._open: dict[str, Start] = {}

    def pytest_runtest_logstart(self, nodeid: str, location: Location) -> None:
        self._open[nodeid] = (Own.wall_s(), location)

    def take(self, node_id: str) -> Start | None:
        """Return the start of a test that has now reported something, and forget it."""
        return self._open.pop(node_id, None)

    @property
    def node_ids(self) -> tuple[str, ...]:
        """The tests that have begun and not reported anything, in the order in which they began."""
        return tuple(self._open)

    @property
    def open(self) -> tuple[tuple[str, Start], ...]:
        """The same tests with their starts."""
        return tuple(self._open.items())
