"""The specification's decorators are markers in other words."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys

import pytest

from pytest_sergas import TestType, integration_test, performance_test
from pytest_sergas import test as typed_test  # under its own name pytest would have to leave it alone, see below
from pytest_sergas.plugin.decorators import RETURNED_FALSE
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


def marks(function: object) -> list[tuple[str, dict[str, object]]]:
    return [(mark.name, dict(mark.kwargs)) for mark in getattr(function, "pytestmark", ())]


@pytest.mark.parametrize("test_type", list(TestType))
def test_type_becomes_its_marker(test_type: TestType) -> None:
    @typed_test(test_type=test_type)
    def check() -> None: ...

    assert marks(check) == [(test_type.value, {})]


def test_type_may_be_its_value() -> None:
    @typed_test("smoke")
    def check() -> None: ...

    assert marks(check) == [("smoke", {})]


def test_keywords_become_those_of_the_marker_but_for_none() -> None:
    @performance_test(max_duration=2.0, timeout=5, retries=None)
    @typed_test(test_type=TestType.PERFORMANCE)
    def check() -> None: ...

    assert marks(check) == [("performance", {}), ("performance", {"max_duration": 2.0, "timeout": 5})]


def test_dependencies_become_the_keyword_of_integration() -> None:
    @integration_test(dependencies=["database", "redis"])
    def check() -> None: ...

    assert marks(check) == [("integration", {"dependencies": ["database", "redis"]})]


def test_function_stays_what_it_was() -> None:
    def check(number: int, *, name: str = "tea") -> None:
        """Say what is checked."""

    check.note = "kept"  # type: ignore[attr-defined]
    decorated = typed_test("unit")(check)

    assert inspect.signature(decorated) == inspect.signature(check)
    assert (decorated.__doc__, decorated.__name__, decorated.__qualname__) == (
        "Say what is checked.",
        "check",
        check.__qualname__,
    )
    assert vars(decorated)["note"] == "kept"
    assert inspect.unwrap(decorated) is check


def test_coroutine_function_stays_one_and_is_run_by_asyncio() -> None:
    @typed_test("unit")
    async def check() -> None: ...

    assert inspect.iscoroutinefunction(check)
    assert marks(check) == [("unit", {}), ("asyncio", {})]


@pytest.mark.parametrize("returned", [True, None])
def test_true_and_none_are_no_failure_and_nothing_is_returned(returned: object) -> None:
    @performance_test()
    @typed_test("performance")
    def check() -> object:
        return returned

    assert check() is None


def test_false_is_a_failure() -> None:
    @typed_test("unit")
    def check() -> bool:
        return False

    with pytest.raises(pytest.fail.Exception) as failed:
        check()
    assert str(failed.value) == (
        "the test returned False, which is a failure; an assert in its place would say what was wrong"
    )


def test_other_values_are_left_to_pytest() -> None:
    @typed_test("unit")
    def check() -> int:
        return 0

    assert check() == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param("unti", "test_type = 'unti': there is no such type; did you mean 'unit'?", id="misspelt"),
        pytest.param(
            7,
            "test_type = 7: there is no such type; allowed: unit, integration, performance, security, load, "
            "regression, smoke, e2e, compatibility, stress",
            id="number",
        ),
        pytest.param(len, "@test has no type; write @test(test_type=TestType.UNIT)", id="without a call"),
    ],
)
def test_unknown_type_is_refused(given: str, text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the text is compared as a whole
        typed_test(given)
    assert str(refused.value) == text


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError) as refused:
        typed_test("unit")(functools.partial(print))
    assert str(refused.value).endswith(" is no test: a function or a class can be marked")


def test_module_without_pytest_running_can_use_them() -> None:
    program = (
        "from pytest_sergas import test\n"
        "@test('unit')\nasync def check(): return True\n"
        "print([mark.name for mark in check.pytestmark])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "['unit', 'asyncio']\n"


SUITE = """
import asyncio
from unittest import mock
import pytest
from pytest_sergas import test, performance_test, integration_test, TestType

@pytest.fixture
def seven():
    return 7

@pytest.fixture
async def eight():
    return 8

@test(test_type=TestType.UNIT)
@pytest.mark.parametrize("number", [1, 2])
def test_inside(number, seven):
    assert number < seven
    return True

@pytest.mark.parametrize("number", [1, 2])
@test(test_type=TestType.UNIT)
async def test_outside(number, seven, eight):
    assert number < seven < eight
    return True

@test(test_type=TestType.UNIT)
def test_false():
    return False

@test(test_type=TestType.SMOKE)
async def test_false_later():
    await asyncio.sleep(0)
    return False

@pytest.mark.xfail(strict=True)
@test(test_type=TestType.SMOKE)
def test_expected():
    return False

@test(test_type=TestType.REGRESSION)
@mock.patch("os.getcwd", return_value="here")
def test_patched(getcwd, seven):
    import os
    assert (os.getcwd(), seven) == ("here", 7)

@test(test_type=TestType.SECURITY)
class TestClass:
    @performance_test(max_duration=60)
    def test_method(self, seven):
        assert isinstance(self, TestClass)
        return seven == 7

    @staticmethod
    @test(test_type=TestType.E2E)
    def test_inner_static(seven):
        return seven == 7

    @test(test_type=TestType.E2E)
    @staticmethod
    async def test_outer_static(eight):
        return eight == 8

    @test(test_type=TestType.E2E)
    @classmethod
    def test_of_the_class(cls, seven):
        return cls is TestClass and seven == 7

LOOPS = set()

@pytest.mark.asyncio(loop_scope="module")
@test(test_type=TestType.LOAD)
async def test_loop_outside():
    LOOPS.add(asyncio.get_running_loop())

@test(test_type=TestType.LOAD)
@pytest.mark.asyncio(loop_scope="module")
async def test_loop_inside():
    LOOPS.add(asyncio.get_running_loop())
    assert len(LOOPS) == 1
"""


def test_decorated_tests_run_in_any_order_with_what_pytest_has(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(SUITE)

    ran = run("-W", "error", "--strict-markers")

    failed = {name for name, outcome in ran.outcomes.items() if outcome == "failed"}
    assert failed == {"test_false", "test_false_later"}
    assert {name: test["type"] for name, test in ran.tests.items()} == {
        "test_inside[1]": "unit",
        "test_inside[2]": "unit",
        "test_outside[1]": "unit",
        "test_outside[2]": "unit",
        "test_false": "unit",
        "test_false_later": "smoke",
        "test_expected": "smoke",
        "test_patched": "regression",
        "TestClass::test_method": "performance",
        "TestClass::test_inner_static": "e2e",
        "TestClass::test_outer_static": "e2e",
        "TestClass::test_of_the_class": "e2e",
        "test_loop_outside": "load",
        "test_loop_inside": "load",
    }
    assert ran.text.count(RETURNED_FALSE) >= 2


def test_loop_of_the_module_counts_for_its_decorated_tests(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from pytest_sergas import test

        pytestmark = pytest.mark.asyncio(loop_scope="module")
        LOOPS = set()

        @test("unit")
        async def test_one():
            LOOPS.add(asyncio.get_running_loop())

        @test("unit")
        async def test_two():
            LOOPS.add(asyncio.get_running_loop())
            assert len(LOOPS) == 1
        """
    )

    assert run().outcomes == {"test_one": "passed", "test_two": "passed"}


def test_renamed_type_has_its_marker_and_a_disabled_one_none(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas='types.load = false\n[types.unit]\nmarker = "api"\n')
    pytester.makepyfile(
        """
        from pytest_sergas import test

        @test("unit")
        def test_renamed(request):
            assert [mark.name for mark in request.node.iter_markers()] == ["api"]

        @test("load")
        def test_disabled(request):
            assert [mark.name for mark in request.node.iter_markers()] == []
        """
    )

    ran = run("--strict-markers")

    assert {name: (test["rawStatus"], test["type"]) for name, test in ran.tests.items()} == {
        "test_renamed": ("passed", "unit"),
        "test_disabled": ("passed", "untyped"),
    }


def test_without_asyncio_no_mark_of_it_is_added(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        from pytest_sergas import test

        @test("unit")
        def test_plain(): pass

        @test("unit")
        async def test_coroutine(): pass
        """
    )

    assert run("-p", "no:asyncio", "--strict-markers").outcomes == {
        "test_plain": "passed",
        "test_coroutine": "failed",
    }
