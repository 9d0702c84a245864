"""Subtests of pytest and of unittest: one verdict wherever they run, in records, JUnit file and exit status."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from textwrap import indent
from typing import NamedTuple

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


class Case(NamedTuple):
    """A test with subtests, and what is to become of it.

    Attributes:
        body: with SUB for a subtest, SKIP for what skips.
        junit: the elements of its case.
        before: a decorator, "xfail", "strict" or "retries".
        fixture: one that breaks, "in_setup", "in_teardown", or "once" at the first teardown.
        kinds: whose subtests: "f" of the fixture, "u" of unittest.
    """

    body: str
    outcome: str
    junit: tuple[str, ...] = ()
    retries: int = 0
    before: str = ""
    kinds: str = "fu"
    fixture: str = ""


_FAILS = "with SUB('a'): assert 0\n"
_PASSES = "with SUB('a'): pass\n"
_SKIPS = "with SUB('b'): SKIP('no')\n"
_EXPECTS = "with SUB('c'): pytest.xfail('known')\n"
_ONCE = "SEEN[NAME] = SEEN.get(NAME, 0) + 1\n"
# Where the call passes, pytest adds that it "contains 1 failed subtest": for unittest's where tests may be repeated.
CASES = {
    "passes": Case(_PASSES, "passed"),
    "fails": Case(f"{_FAILS}{_PASSES}", "failed", ("failure", "failure"), kinds="f"),
    "fails_u": Case(f"{_FAILS}{_PASSES}", "failed", ("failure",), kinds="u"),
    "two_fail": Case(f"{_FAILS}with SUB('b'): raise ValueError", "failed", ("failure",) * 3, kinds="f"),
    "two_fail_u": Case(f"{_FAILS}with SUB('b'): raise ValueError", "failed", ("failure",) * 2, kinds="u"),
    "one_is_skipped": Case(f"with SUB('b'): SKIP('no')\n{_PASSES}", "passed"),
    "all_are_skipped": Case("with SUB('b'): SKIP('no')", "passed"),
    "one_fails_one_is_skipped": Case(f"{_FAILS}with SUB('b'): SKIP('no')", "failed", ("failure",) * 2, kinds="f"),
    "fails_outside": Case(f"{_PASSES}assert 0", "failed", ("failure",)),
    "fails_inside_and_outside": Case(f"{_FAILS}assert 0, 'outside'", "failed", ("failure", "failure")),
    "fails_then_is_skipped": Case(f"{_FAILS}SKIP('rest')", "failed", ("failure",)),
    "expected_outside": Case(f"{_PASSES}assert 0", "xfailed", ("skipped",), before="xfail"),
    "expected_inside": Case(f"{_EXPECTS}{_PASSES}", "passed"),
    "expected_inside_one_fails": Case(f"{_EXPECTS}{_FAILS}", "failed", ("failure",) * 2, kinds="f"),
    "expected_inside_one_fails_u": Case(f"{_EXPECTS}{_FAILS}", "failed", ("failure",), kinds="u"),
    "mixed": Case(f"{_FAILS}{_SKIPS}{_EXPECTS}{_PASSES}", "failed", ("failure",) * 2, kinds="f"),
    "mixed_u": Case(f"{_FAILS}{_SKIPS}{_EXPECTS}{_PASSES}", "failed", ("failure",), kinds="u"),
    "marked_passes": Case(_PASSES, "xpassed", before="xfail"),
    "marked_fails_inside": Case(_FAILS, "xpassed", before="xfail"),  # the mark takes the subtest; the rest passes
    "marked_fails_in_both": Case(f"{_FAILS}assert 0", "xfailed", ("skipped",) * 2, before="xfail"),
    "strict_passes": Case(_PASSES, "failed", ("failure",) * 2, before="strict"),
    "strict_fails_inside": Case(_FAILS, "failed", ("failure",), before="strict"),
    "setup_breaks": Case(_FAILS, "error", ("error",), kinds="f", fixture="in_setup"),
    "cleanup_breaks": Case(f"self.addCleanup(self.fail)\n{_PASSES}", "failed", ("failure",), kinds="u"),
    "teardown_breaks": Case(_PASSES, "error", ("error",), kinds="f", fixture="in_teardown"),
    "fails_and_teardown_breaks": Case(
        _FAILS, "failed", ("failure", "failure", "error"), kinds="f", fixture="in_teardown"
    ),
    "is_flaky": Case(f"{_ONCE}with SUB('a'): assert SEEN[NAME] == 2", "flaky", ("flakyFailure",), 1, "retries"),
    "is_flaky_outside": Case(f"{_ONCE}{_PASSES}assert SEEN[NAME] == 2", "flaky", ("flakyFailure",), 1, "retries"),
    "is_flaky_beside_skipped": Case(
        f"{_ONCE}{_SKIPS}with SUB('a'): assert SEEN[NAME] == 2", "flaky", ("flakyFailure",), 1, "retries"
    ),
    "is_flaky_beside_expected": Case(
        f"{_ONCE}{_EXPECTS}with SUB('a'): assert SEEN[NAME] == 2", "flaky", ("flakyFailure",), 1, "retries"
    ),
    "fails_then_is_skipped_at_once": Case(
        f"{_ONCE}with SUB('a'): assert SEEN[NAME] == 2\nif SEEN[NAME] == 2: SKIP('rest')",
        "skipped",
        ("flakyFailure", "skipped"),
        1,
        "retries",
    ),
    "teardown_is_flaky": Case(_PASSES, "flaky", ("flakyError",), 1, "retries", "f", "once"),
    "teardown_never_passes": Case(_PASSES, "error", ("error", "rerunError"), 1, "retries", "f", "in_teardown"),
    "never_passes": Case(_FAILS, "failed", ("failure", "failure", "rerunFailure"), 1, "retries"),
    "quarantined": Case(_FAILS, "quarantined", ("skipped", "skipped")),
    "quarantined_passes": Case(_PASSES, "quarantined"),
    "quarantined_two": Case(f"{_FAILS}with SUB('b'): assert 0", "quarantined", ("skipped",) * 3),
    "quarantined_never_passes": Case(_FAILS, "quarantined", ("flakyFailure", "skipped", "skipped"), 1, "retries"),
    "quarantined_mixed": Case(f"{_FAILS}{_SKIPS}{_EXPECTS}", "quarantined", ("skipped",) * 2),
    "quarantined_expected": Case(f"{_EXPECTS}{_SKIPS}", "quarantined"),
    "quarantined_marked": Case(_FAILS, "quarantined", before="xfail"),
    "quarantined_skips": Case("SKIP('all')", "quarantined", ("skipped",)),
    "quarantined_is_flaky": Case(
        f"{_ONCE}with SUB('a'): assert SEEN[NAME] == 2", "quarantined", ("flakyFailure",), 1, "retries"
    ),
    "quarantined_teardown": Case(_PASSES, "quarantined", ("skipped",), kinds="f", fixture="in_teardown"),
    "quarantined_both": Case(_FAILS, "quarantined", ("skipped",) * 3, kinds="f", fixture="in_teardown"),
    "quarantined_outside": Case(f"{_PASSES}assert 0", "quarantined", ("skipped",)),
}
_BEFORE = {
    "": "",
    "xfail": "@pytest.mark.xfail(reason='known')\n",
    "strict": "@pytest.mark.xfail(reason='known', strict=True)\n",
    "retries": "@pytest.mark.unit(retries=1)\n",
}
_HEAD = "import pytest, unittest\nSEEN = {}\npytestmark = pytest.mark.unit\n"
_BROKEN = """
@pytest.fixture
def in_setup():
    assert 0, 'setup'

@pytest.fixture
def in_teardown():
    yield
    assert 0, 'teardown'

@pytest.fixture
def once(request):
    yield
    SEEN[request.node.name] = SEEN.get(request.node.name, 0) + 1
    assert SEEN[request.node.name] == 2, 'teardown'

"""
_FAILED = {"failed", "error"}


def fixture_suite() -> str:
    tests = []
    for name, case in CASES.items():
        if "f" in case.kinds:
            arguments = f"subtests, {case.fixture}" if case.fixture else "subtests"
            body = (
                case.body.replace("SUB(", "subtests.test(")
                .replace("SKIP(", "pytest.skip(")
                .replace("NAME", f"'{name}'")
            )
            tests.append(f"{_BEFORE[case.before]}def test_{name}({arguments}):\n{indent(body, '    ')}\n")
    return f"{_HEAD}{_BROKEN}" + "\n".join(tests)


def unittest_suite() -> str:
    tests = []
    for name, case in CASES.items():
        if "u" in case.kinds:
            body = (
                case.body.replace("SUB(", "self.subTest(")
                .replace("SKIP(", "self.skipTest(")
                .replace("NAME", f"'{name}'")
            )
            tests.append(f"{_BEFORE[case.before]}def test_{name}(self):\n{indent(body, '    ')}\n")
    return f"{_HEAD}\nclass TestIt(unittest.TestCase):\n" + indent("\n".join(tests), "    ")


def write(pytester: pytest.Pytester) -> dict[str, Case]:
    """Write both suites, with their quarantine; return node id → case."""
    pytester.makepyfile(test_fixture=fixture_suite(), test_unittest=unittest_suite())
    found = {f"test_fixture.py::test_{name}": case for name, case in CASES.items() if "f" in case.kinds}
    found |= {f"test_unittest.py::TestIt::test_{name}": case for name, case in CASES.items() if "u" in case.kinds}
    entries = [
        f'[[quarantine]]\ntest = "{name}"\nreason = "races"\nowner = "payments"\nuntil = 2999-12-31\n'
        for name, case in found.items()
        if case.outcome == "quarantined"
    ]
    pytester.makefile(".toml", **{"sergas-quarantine": "\n".join(entries)})
    return found


def junit(text: str) -> dict[str, tuple[str, ...]]:
    """Return node id → the elements of its case."""
    found = {}
    for case in ET.fromstring(text).iter("testcase"):  # noqa: S314  written a moment ago
        module, *classes = (case.get("classname") or "").split(".")
        name = "::".join([f"{module}.py", *classes, case.get("name") or ""])
        assert name not in found
        found[name] = tuple(element.tag for element in case if not element.tag.startswith("system-"))
    return found


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_every_outcome_is_in_record_junit_and_exit_status(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    cases = write(pytester)
    red = [name for name, case in cases.items() if case.outcome in _FAILED]

    ran = run(*workers, "--junitxml=run.xml")
    green = run(*workers, *[word for name in red for word in ("--deselect", name)], record=False)

    assert ran.document is not None
    seen = {f"{test['filePath']}::{test['name']}": test for test in ran.document["results"]["tests"]}
    assert {name: test["rawStatus"] for name, test in seen.items()} == {n: case.outcome for n, case in cases.items()}
    assert {name: test.get("retries", 0) for name, test in seen.items()} == {n: c.retries for n, c in cases.items()}
    assert junit((pytester.path / "run.xml").read_text("utf-8")) == {n: case.junit for n, case in cases.items()}
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert green.result.ret == pytest.ExitCode.OK
    assert "FAILED" not in green.text
