"""The repetitions that are left under a cap of the run (`max_retries`, ``--max-suite-reruns``), one of them reserved.

pytest-rerunfailures asks for one only when an attempt is over, and makes a failure final where none is left. A verdict
has to know before: an attempt that may be repeated fails, and one that may not is judged as it stands. All workers
share the count, so that to look is not enough; what was seen may be taken by another meanwhile.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sergas.plugin.foreign import replace_reruns_of_run


class SuiteCap:
    """Stands between pytest-rerunfailures and its count, and keeps one repetition for the test that is running."""

    def __init__(self, config: pytest.Config, count: Any, most: int) -> None:
        self._count = count
        self._most = most
        self._reserved = False
        replace_reruns_of_run(config, self)

    def reserve(self) -> bool:
        """Return whether the attempt that is going on may be repeated."""
        self._reserved = self._reserved or self._count.try_increment_suite_reruns(self._most)
        return self._reserved

    def release(self) -> None:
        """Give back what was reserved and not used."""
        if self._reserved:
            self._reserved = False
            self._count.decrement_suite_reruns()

    def try_increment_suite_reruns(self, most: int) -> bool:
        if self._reserved:
            self._reserved = False
            return True
        return bool(self._count.try_increment_suite_reruns(most))

    def get_suite_reruns(self) -> int:
        return int(self._count.get_suite_reruns()) - self._reserved

    def __getattr__(self, name: str) -> Any:
        return getattr(self._count, name)
