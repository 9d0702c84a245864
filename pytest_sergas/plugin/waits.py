"""How long tests have waited because of exclusive ones, as the controller says it at the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

# On the report of a test: seconds.
REPORTED = "sergas_waited_s"


class Waits:
    """Adds up what the reports of the workers say."""

    def __init__(self) -> None:
        self._waits: list[float] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        waited_s = getattr(report, REPORTED, 0.0)
        if waited_s:
            self._waits.append(waited_s)

    @property
    def notes(self) -> Sequence[str]:
        if not self._waits:
            return ()
        tests = "1 test" if len(self._waits) == 1 else f"{len(self._waits)} tests"
        return (f"{tests} waited because of exclusive ones, {sum(self._waits):.1f} s in all; no duration counts that",)
