"""What a notification says beside what its rule says, and where it leads."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from pytest_sergas.core.health import CheckResult, HealthStatus
from pytest_sergas.core.messages import Notified, fingerprint
from pytest_sergas.core.newest_tests import NewestTests
from pytest_sergas.core.report import Report, ReportedTest
from pytest_sergas.engine.explaining import Explaining

pytestmark = pytest.mark.unit

RESULT = CheckResult("my db", HealthStatus.UNHEALTHY, "connection refused")
TESTS = (
    ReportedTest("t.py::a", "unit", "failed", "failed", 1.0, flaky=False, message="assert 1 == 2"),
    ReportedTest("t.py::b", "unit", "failed", "timeout", 1.0, flaky=False),
    ReportedTest("t.py::c", "unit", "passed", "flaky", 1.0, flaky=True, message="now and then"),
)


def alert(status: Literal["firing", "resolved"] = "firing", **labels: str) -> Notified:
    pairs = tuple(sorted({"alertname": "A", **labels}.items()))
    return Notified(pairs, (), status, 1.0, None, "", 1.0, fingerprint(pairs), "error")


def test_tests_of_one_cause_are_told_once_over_all_shards() -> None:
    newest = NewestTests()
    for number in (1, 2):
        tests = [replace(TESTS[0], id=f"t.py::s{number}_{n}", cause=f"1:{n % 6}") for n in range(12)]
        newest.take(Report(f"r{number}", "shop", "main", "c", 0.0, 1.0, tuple(tests), shard=f"{number}/2", split="s"))

    explanation = Explaining(dict, newest)(alert(type="unit"))

    assert dict(explanation.annotations) == {
        f"failed_test_{n + 1}": f"t.py::s2_{n} and 3 more: assert 1 == 2" for n in range(5)
    }


@pytest.mark.parametrize(
    ("asked", "path", "annotations"),
    [
        pytest.param(alert(check="my db"), "/components#my%20db", {"reason": "connection refused"}, id="check"),
        pytest.param(alert("resolved", check="my db"), "/components#my%20db", {}, id="check that is well again"),
        pytest.param(alert(check="gone"), f"/alerts#{alert(check='gone').fingerprint}", {}, id="unknown check"),
        pytest.param(alert(type="unit", test="t.py::a[x/y]"), "/tests/one?id=t.py%3A%3Aa%5Bx%2Fy%5D", {}, id="test"),
        pytest.param(
            alert(type="unit", job="shop"),
            "/runs/r%3A1",
            {"failed_test_1": "t.py::a: assert 1 == 2", "failed_test_2": "t.py::b"},
            id="type",
        ),
        pytest.param(
            alert(type="unit", outcome="flaky"), "/runs/r%3A1", {"flaky_test_1": "t.py::c: now and then"}, id="outcome"
        ),
        pytest.param(alert("resolved", type="unit"), "/runs/r%3A1", {}, id="type that succeeds again"),
        pytest.param(alert(type="e2e"), f"/alerts#{alert(type='e2e').fingerprint}", {}, id="type of no run"),
        pytest.param(alert(), f"/alerts#{alert().fingerprint}", {}, id="anything else"),
    ],
)
def test_alert_is_explained_by_its_labels(asked: Notified, path: str, annotations: dict[str, str]) -> None:
    newest = NewestTests()
    newest.take(Report("r:1", "shop", "main", "c", 0.0, 1.0, TESTS))

    explanation = Explaining(lambda: {"my db": RESULT}, newest)(asked)

    assert (explanation.path, dict(explanation.annotations)) == (path, annotations)
