"""What a run has done, what is left and for how long: the line that stands below the tests while they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_sergas.core.frozen import dataclass
from pytest_sergas.core.summary import seconds


@dataclass(frozen=True, slots=True)
class Expected:
    """A test that is going to run.

    Attributes:
        seconds: what it took in earlier runs, or None.
        alone: whether no other test runs meanwhile.
    """

    node_id: str
    type: str
    seconds: float | None = None
    alone: bool = False


class Progress:
    """Counts what is over.

    A test without a recorded duration counts as the mean of the others; without any there is no time left to tell.
    """

    def __init__(self, tests: Sequence[Expected]) -> None:
        known = [test.seconds for test in tests if test.seconds is not None]
        usual_s = sum(known) / len(known) if known else 0.0
        self._recorded = bool(known)
        self._left = {
            test.node_id: (test.type, usual_s if test.seconds is None else test.seconds, test.alone) for test in tests
        }
        self._totals: dict[str, int] = {}
        self._left_s = {False: 0.0, True: 0.0}
        for name, test_s, alone in self._left.values():
            self._totals[name] = self._totals.get(name, 0) + 1
            self._left_s[alone] += test_s
        self._done = dict.fromkeys(self._totals, 0)

    def over(self, node_id: str) -> None:
        """Note that a test is over; what is not expected, or over already, changes nothing."""
        test = self._left.pop(node_id, None)
        if test is not None:
            name, test_s, alone = test
            self._done[name] += 1
            self._left_s[alone] -= test_s

    def line(self, workers: int, width: int) -> str:
        """Return the line, in as much detail as ``width`` columns hold; "" when nothing is left, or nothing fits.

        Args:
            workers: how many processes share the tests, at least 1.
        """
        if not self._left:
            return ""
        left_s = max(self._left_s[False], 0.0) / workers + max(self._left_s[True], 0.0)
        time_left = f"about {seconds(left_s)} left" if self._recorded else ""
        forms = (self._each("{} {} done, {} left"), self._each("{0} {1}/{3}"), [self._together()])
        # ASCII, because not every terminal is told to write anything else.
        lines = [" | ".join((*parts, *filter(None, [time_left]))) for parts in forms]
        return next((line for line in lines if len(line) <= width), "")

    def _each(self, form: str) -> list[str]:
        totals: Mapping[str, int] = self._totals
        return [form.format(name, self._done[name], total - self._done[name], total) for name, total in totals.items()]

    def _together(self) -> str:
        done, total = sum(self._done.values()), sum(self._totals.values())
        return f"{done} done, {total - done} left"
