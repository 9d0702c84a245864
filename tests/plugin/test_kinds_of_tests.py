"""Subtests, doctests, coroutine tests and unittest's: each kind has its record, the same with workers as alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


def test_subtests_belong_to_their_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import unittest, pytest

        def test_all_pass(subtests):
            for number in range(3):
                with subtests.test(number=number): pass

        def test_one_fails(subtests):
            for number in range(3):
                with subtests.test(number=number): assert number != 1, "one is wrong"

        def test_one_is_skipped(subtests):
            with subtests.test("first"): pytest.skip("not this one")

        class Case(unittest.TestCase):
            def test_unittest(self):
                for number in range(3):
                    with self.subTest(number=number): self.assertNotEqual(number, 1)
        """
    )

    ran = run()

    assert ran.outcomes == {
        "test_all_pass": "passed",
        "test_one_fails": "failed",
        "test_one_is_skipped": "passed",
        "Case::test_unittest": "failed",
    }
    assert ran.tests["test_one_fails"]["message"].startswith("AssertionError: one is wrong")


def test_subtest_that_fails_once_makes_its_test_flaky(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        attempts = []

        @pytest.mark.unit(retries=1)
        def test_one(subtests):
            attempts.append(1)
            with subtests.test("first"): assert len(attempts) > 1
        """
    )

    ran = run()

    assert ran.outcomes == {"test_one": "flaky"}
    assert ran.tests["test_one"]["retries"] == 1


def test_doctests_are_recorded(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(module='def f():\n    """\n    >>> 1 + 1\n    3\n    """')
    pytester.maketxtfile(test_text=">>> 1 + 1\n2\n")

    assert run("--doctest-modules").outcomes == {"module.f": "failed", "test_text.txt": "passed"}


def test_coroutine_tests_of_a_typed_module_run_in_auto_mode(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        "import asyncio, pytest\npytestmark = pytest.mark.unit\nasync def test_one(): await asyncio.sleep(0)"
    )

    assert run("-o", "asyncio_mode=auto", "-W", "error").outcomes == {"test_one": "passed"}


def test_coroutine_test_in_strict_mode_fails_with_what_to_add(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\npytestmark = pytest.mark.unit\nasync def test_one(): pass")

    test = run().tests["test_one"]

    assert test["message"] == (
        'Failed: a coroutine test, and nothing runs it: add @pytest.mark.asyncio to it, or set asyncio_mode = "auto" '
        "in the pytest configuration (or install and mark for another async plugin, such as anyio)"
    )


EVERY_KIND = """
import asyncio, unittest, pytest

pytestmark = pytest.mark.unit
attempts = []

@pytest.mark.unit(retries=1)
def test_subtest_is_flaky(subtests):
    attempts.append(1)
    with subtests.test("first"): assert len(attempts) > 1
    with subtests.test("second"): pass

def test_subtest_is_skipped(subtests):
    with subtests.test("first"): pytest.skip("not this one")

def test_subtest_fails(subtests):
    for number in range(3):
        with subtests.test(number=number): assert number != 1, "one is wrong"

async def test_coroutine(): await asyncio.sleep(0)

async def test_coroutine_fails():
    await asyncio.sleep(0)
    assert False

class Case(unittest.TestCase):
    def test_unittest(self):
        for number in range(3):
            with self.subTest(number=number): self.assertNotEqual(number, 1)
"""
CHANGES = {
    "start",
    "stop",
    "duration",
    "threadId",
    "worker",
    "setupSeconds",
    "callSeconds",
    "teardownSeconds",
    "measured",
}


def test_every_kind_of_test_has_the_same_record_with_workers(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_it=EVERY_KIND, module='def f():\n    """\n    >>> 1 + 1\n    3\n    """')
    pytester.maketxtfile(test_text=">>> 1 + 1\n2\n", test_wrong=">>> 1 + 1\n3\n")
    settings = ("-o", "asyncio_mode=auto", "--doctest-modules", "--tb=short")  # which shows no addresses

    alone, parallel = run(*settings), run(*settings, "-n2")

    assert alone.outcomes == {
        "module.f": "failed",
        "test_text.txt": "passed",
        "test_wrong.txt": "failed",
        "test_subtest_is_flaky": "flaky",
        "test_subtest_is_skipped": "passed",
        "test_subtest_fails": "failed",
        "test_coroutine": "passed",
        "test_coroutine_fails": "failed",
        "Case::test_unittest": "failed",
    }
    assert without_changes(parallel.tests) == without_changes(alone.tests)


def without_changes(value: Any) -> Any:
    """A part of a CTRF document without what differs from run to run: times, costs and workers."""
    if isinstance(value, dict):
        return {key: without_changes(entry) for key, entry in value.items() if key not in CHANGES}
    return [without_changes(entry) for entry in value] if isinstance(value, list) else value
