"""What a red run prints: one traceback for each cause, and with -v each of them."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

# Another plugin's turn comes between pytest's sections: it counts what it sees.
CONFTEST = """
import pytest

@pytest.fixture
def db():
    raise ConnectionError("no route to host")

def pytest_terminal_summary(terminalreporter):
    found = {name: len(reports) for name, reports in terminalreporter.stats.items() if name}
    print("others see", found)
"""
TESTS = """
import pytest
{mark}
@pytest.mark.parametrize("n", range(20))
def test_db(db, n): pass

def test_alone(): assert 1 == 2
"""


def printed(text: str) -> dict[str, int]:
    return {
        "tracebacks": len(re.findall(r"^E +ConnectionError: no route", text, re.MULTILINE)),
        "lines": len(re.findall(r"^ERROR test_a.py::test_db", text, re.MULTILINE)),
        "alone": len(re.findall(r"^E +assert 1 == 2", text, re.MULTILINE)),
    }


def test_each_cause_is_shown_once_and_with_v_each_failure(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_a=TESTS.format(mark="pytestmark = pytest.mark.unit"))

    folded, quiet, verbose = (run(*arguments, record=False) for arguments in (("-n2",), ("-q",), ("-v",)))

    for ran in (folded, quiet):
        assert printed(ran.text) == {"tracebacks": 1, "lines": 1, "alone": 1}
        assert "cause: 20 tests, setup: ConnectionError at conftest.py:5 in db" in ran.text
        assert "       and 17 more" in ran.text
        assert "19 more failures have a cause that is shown; -v shows each" in ran.text
    assert printed(verbose.text) == {"tracebacks": 20, "lines": 20, "alone": 1}
    assert "more failures have" not in verbose.text
    for ran in (folded, quiet, verbose):
        assert "others see {'error': 20, 'failed': 1}" in ran.text
        ran.result.assert_outcomes(failed=1, errors=20)


def test_suite_without_types_is_folded_only_where_it_asks_for_something(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_a=TESTS.format(mark=""))

    untouched, asked = run(record=False), run()

    assert printed(untouched.text) == {"tracebacks": 20, "lines": 20, "alone": 1}
    assert "cause" not in untouched.text
    assert printed(asked.text) == {"tracebacks": 1, "lines": 1, "alone": 1}
    assert "cause: 20 tests, setup: ConnectionError at conftest.py:5 in db" in asked.text
