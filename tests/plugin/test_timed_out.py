"""That the timer fired is a fact: such an attempt is a timeout, whatever the test made of the exception."""

from __future__ import annotations

import textwrap

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

HEAD = """
import asyncio, time
import pytest
pytestmark = pytest.mark.unit(timeout=0.5)
"""
BODIES = {
    "plain": "def test_a(): time.sleep(5)",
    "swallowed": """
        def test_a():
            try: time.sleep(5)
            except BaseException: pass
    """,
    "raise from": """
        def test_a():
            try: time.sleep(5)
            except BaseException as error: raise ValueError("shop") from error
    """,
    "raised anew": """
        def test_a():
            try: time.sleep(5)
            except BaseException: assert 1 == 2, "another text"
    """,
    "skipped afterwards": """
        def test_a():
            try: time.sleep(5)
            except BaseException: pytest.skip("no time")
    """,
    "retried assertion": """
        def test_a():
            for _ in range(3):
                try:
                    time.sleep(5)
                    assert False
                except BaseException: time.sleep(0.01)
    """,
    "task group": """
        @pytest.mark.skipif(not hasattr(asyncio, "TaskGroup"), reason="Python 3.11")
        def test_a():
            async def main():
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(5))
                    group.create_task(asyncio.sleep(6))
            asyncio.run(main())
    """,
    "gather": """
        def test_a():
            async def wait(): time.sleep(5)
            async def main(): return await asyncio.gather(wait(), return_exceptions=True)
            asyncio.run(main())
    """,
    "subtest": """
        def test_a(subtests):
            with subtests.test("one"): time.sleep(5)
    """,
    "in set-up, swallowed": """
        @pytest.fixture
        def service():
            try: time.sleep(5)
            except BaseException: pass
        def test_a(service): pass
    """,
    "in set-up": """
        @pytest.fixture
        def service(): time.sleep(5)
        def test_a(service): pass
    """,
    "in teardown": """
        @pytest.fixture
        def service():
            yield
            time.sleep(5)
        def test_a(service): pass
    """,
}


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n1",), id="workers")])
def test_an_attempt_in_which_the_timer_fired_is_a_timeout(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    for name, body in BODIES.items():
        pytester.makepyfile(**{f"test_{name.replace(' ', '_').replace(',', '')}": HEAD + textwrap.dedent(body)})

    ran = run(*workers)

    assert ran.document is not None
    found = {test["filePath"].removesuffix(".py"): test["rawStatus"] for test in ran.document["results"]["tests"]}
    assert found == {f"test_{name.replace(' ', '_').replace(',', '')}": "timeout" for name in BODIES}
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_text_about_a_timeout_is_none(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        HEAD
        + "def test_a(): pytest.fail('Timeout (>0.5s) from pytest-timeout.')\ndef test_b(): raise TimeoutError('late')"
    )

    assert run().outcomes == {"test_a": "failed", "test_b": "failed"}


def test_hypothesis_makes_nothing_else_of_a_timeout(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        HEAD + "from hypothesis import given, settings, strategies as st\n"
        "@settings(deadline=None, database=None)\n@given(st.integers())\ndef test_a(n): time.sleep(0.2)"
    )

    assert run().outcomes == {"test_a": "timeout"}


def test_a_timeout_is_repeated_as_the_policy_says(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import time, pytest
        tried = []

        @pytest.mark.unit(timeout=0.5, retries=1)
        def test_a():
            tried.append(1)
            try: time.sleep(5 if len(tried) == 1 else 0)
            except BaseException: pass
        """
    )

    ran = run()

    assert ran.outcomes == {"test_a": "flaky"}
    assert [attempt["extra"]["rawStatus"] for attempt in ran.tests["test_a"]["retryAttempts"]] == ["timeout"]


def test_pytest_inside_a_test_leaves_the_timer_and_the_peak_of_the_outer_test_alone(
    pytester: pytest.Pytester, run: Run
) -> None:
    pytester.makeconftest("pytest_plugins = ['pytester']")
    pytester.makepyfile(
        """
        import time, pytest

        @pytest.mark.unit(timeout=3)
        def test_timer(pytester):
            pytester.makepyfile("import pytest\\n@pytest.mark.unit(timeout=60)\\ndef test_inner(): pass")
            pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
            time.sleep(10)

        @pytest.mark.unit(max_memory_mb=20)
        def test_peak(pytester):
            block = bytearray(60 << 20)
            block[::4096] = b"x" * len(block[::4096])
            del block
            pytester.makepyfile("import pytest\\n@pytest.mark.unit(max_memory_mb=5)\\ndef test_inner(): pass")
            pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
        """
    )

    assert run().outcomes == {"test_timer": "timeout", "test_peak": "over_budget"}


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_memory_that_threads_use_again_is_seen_again(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        import threading, pytest

        def use(mib):
            def allocate():
                blocks = [bytes(bytearray(b"x" * 65_536)) for _ in range(mib * 16)]
                del blocks
            thread = threading.Thread(target=allocate)
            thread.start()
            thread.join()

        @pytest.mark.unit(max_memory_mb=10)
        @pytest.mark.parametrize("n", range(12))
        def test_much(n): use(20)

        @pytest.mark.unit(max_memory_mb=10)
        @pytest.mark.parametrize("n", range(12))
        def test_little(n): use(4)
        """
    )

    outcomes = run(*workers).outcomes

    assert {name: outcome for name, outcome in outcomes.items() if name.startswith("test_much")} == {
        f"test_much[{n}]": "over_budget" for n in range(12)
    }
    assert {outcome for name, outcome in outcomes.items() if name.startswith("test_little")} == {"passed"}
