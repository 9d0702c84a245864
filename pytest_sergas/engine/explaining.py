"""What a notification says beside what its rule says: why, by what is known when it is sent, and where to look.

By the labels of the alert, the first that is there:

check     the message of the check; the component
test      the test
type      the first tests of the newest run that failed, or that have the outcome of the label ``outcome``, one for each
          cause with its message and how many more there are; the run

Without any of them, the link leads to the alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pytest_sergas.core.health import CheckResult
from pytest_sergas.core.messages import Notified
from pytest_sergas.core.newest_tests import FAILED, SHOWN, NewestTests, OfType
from pytest_sergas.core.report import ReportedTest
from pytest_sergas.core.series import Labels


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an alert fires, and where one sees more.

    Attributes:
        path: the path of a page, below that of the sidecar.
        annotations: in the order in which they are read.
    """

    path: str
    annotations: Labels = ()


@dataclass(frozen=True, slots=True)
class Explaining:
    """Explains alerts from the newest results of checks and runs."""

    checks: Callable[[], Mapping[str, CheckResult]]
    tests: NewestTests

    def __call__(self, alert: Notified) -> Explanation:
        labels = dict(alert.labels)
        fires = alert.status == "firing"
        if (name := labels.get("check")) is not None and (result := self.checks().get(name)) is not None:
            why: Labels = (("reason", result.message),) if fires and result.message else ()
            return Explanation(f"/components#{quote(name, safe='')}", why)
        if (test := labels.get("test")) is not None:
            return Explanation(f"/tests/one?id={quote(test, safe='')}")
        if runs := self.tests.find(labels):
            word = labels.get("outcome", FAILED)
            told = next((run for run in runs if word in run.tests), runs[0])
            why = tuple(_told(word, runs)) if fires else ()
            return Explanation(f"/runs/{quote(told.run_id, safe='')}", why)
        return Explanation(f"/alerts#{alert.fingerprint}")


def _told(word: str, runs: Sequence[OfType]) -> Iterator[tuple[str, str]]:
    """Yield an annotation for each cause; shards may share one."""
    first: dict[str, ReportedTest] = {}
    for run in runs:
        for test in run.tests.get(word, ()):
            first.setdefault(test.alike, test)
    for number, (alike, test) in enumerate(list(first.items())[:SHOWN], start=1):
        more = sum(run.counts.get(word, {}).get(alike, 0) for run in runs) - 1
        name = f"{test.id} and {more} more" if more else test.id
        yield f"{word}_test_{number}", f"{name}: {test.message}" if test.message else name
