"""Which type a test has, which keywords apply to it, and what is said about those that cannot."""

from __future__ import annotations

import pytest

from pytest_sergas.core.policy import MARKER_KEYWORDS
from pytest_sergas.core.records import TestType
from pytest_sergas.plugin import markers
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


def types(ran: object) -> dict[str, str]:
    return {name: test["type"] for name, test in ran.tests.items()}  # type: ignore[attr-defined]


def test_marker_explanations_name_every_type_and_every_keyword() -> None:
    assert list(markers.MEANING) == [test_type.value for test_type in TestType]
    assert markers.KEYWORDS == MARKER_KEYWORDS


def test_markers_are_known_under_strict_markers(pytester: pytest.Pytester, run: Run) -> None:
    marks = "".join(f"@pytest.mark.{test_type}\ndef test_{test_type}(): pass\n" for test_type in TestType)
    pytester.makepyfile(f"import pytest\n{marks}")

    ran = run("--strict-markers", "-W", "error")

    ran.result.assert_outcomes(passed=len(TestType))
    assert types(ran) == {f"test_{test_type}": test_type for test_type in TestType}


def test_markers_option_explains_each_type(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--markers")

    result.stdout.fnmatch_lines(
        [f"@pytest.mark.{test_type}(timeout=None, *): a test of the type {test_type}: *" for test_type in TestType]
    )


def test_closest_marker_decides_the_type(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.unit

        def test_module(): pass

        @pytest.mark.integration
        def test_function(): pass

        @pytest.mark.smoke
        class TestClass:
            def test_class(self): pass

            @pytest.mark.e2e
            def test_method(self): pass
        """
    )

    ran = run()

    assert types(ran) == {
        "test_module": "unit",
        "test_function": "integration",
        "TestClass::test_class": "smoke",
        "TestClass::test_method": "e2e",
    }


def test_innermost_of_two_markers_decides_and_both_select(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.integration(timeout=7)
        @pytest.mark.unit
        def test_both(): pass
        """
    )

    assert types(run("-m", "integration")) == {"test_both": "unit"}
    assert types(run("-m", "unit")) == {"test_both": "unit"}


def test_keywords_of_the_deciding_type_merge_closest_first(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.unit(timeout=50, retries=1)
        seen = []

        @pytest.mark.unit(timeout=0.3)
        def test_hangs_then_passes():
            import time
            seen.append(1)
            if len(seen) == 1:
                time.sleep(30)
        """
    )

    ran = run()

    assert ran.outcomes == {"test_hangs_then_passes": "flaky"}


def test_keywords_of_another_type_bring_no_policy(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.integration(retries=3)
        @pytest.mark.unit
        def test_fails(): assert False
        """
    )

    assert "retries" not in run().tests["test_fails"]


def test_positional_arguments_of_a_marker_are_ignored(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.integration('postgres', 3)\ndef test_one(): pass")

    assert types(run("-W", "error")) == {"test_one": "integration"}


@pytest.fixture
def two_directories(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{"unit/test_a": "def test_a(): pass", "unit/slow/test_b": "def test_b(): pass"})
    pytester.makepyfile(test_c="def test_c(): pass")
    pytester.makefile(
        ".toml",
        sergas='[types.unit]\npaths = ["unit"]\n[types.integration]\npaths = ["unit/slow"]\n',
    )


@pytest.mark.usefixtures("two_directories")
def test_deepest_directory_gives_its_type(run: Run) -> None:
    assert types(run()) == {"test_a": "unit", "test_b": "integration", "test_c": "untyped"}


@pytest.mark.usefixtures("two_directories")
def test_type_of_a_directory_selects_with_m(run: Run) -> None:
    assert types(run("-m", "integration")) == {"test_b": "integration"}


@pytest.mark.usefixtures("two_directories")
def test_marker_beats_directory_and_directory_does_not_select_it(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(**{"unit/test_d": "import pytest\n@pytest.mark.smoke\ndef test_d(): pass"})

    assert types(run())["test_d"] == "smoke"
    assert "test_d" not in run("-m", "unit").tests


def test_renamed_type_leaves_the_old_name_to_the_suite(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas='[types.integration]\nmarker = "api"\n')
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.integration(env="prod")
        def test_theirs(): pass

        @pytest.mark.api
        def test_ours(): pass
        """
    )

    ran = run("-o", "markers=integration")

    assert types(ran) == {"test_theirs": "untyped", "test_ours": "integration"}


def test_disabled_type_leaves_its_name_to_the_suite(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makefile(".toml", sergas="[types]\nload = false\n")
    pytester.makepyfile("import pytest\n@pytest.mark.load(users=5)\ndef test_theirs(): pass")

    assert types(run("-o", "markers=load")) == {"test_theirs": "untyped"}


BAD = """
import pytest

@pytest.mark.unit(timeuot=5)
def test_a(): pass

@pytest.mark.integration(timeout=-1, gate=True)
@pytest.mark.parametrize("n", [1, 2])
def test_b(n): pass
"""
BAD_TEXT = [
    "ERROR: sergas: 3 faults in the configuration",
    "  test_bad.py::test_a: @pytest.mark.unit(timeuot=5): unknown keyword; did you mean 'timeout'?",
    (
        "  test_bad.py::test_b: @pytest.mark.integration(timeout=-1): "
        "allowed: seconds (0 for none), at least 0 and at most 31622400, such as 90 or '1h30m'"
    ),
    (
        "  test_bad.py::test_b: @pytest.mark.integration(gate=True): "
        "'gate' is not for a single test; it belongs into the type's table, [tool.sergas.types]"
    ),
]


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_every_fault_of_every_marker_is_one_usage_error(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_bad=BAD)

    ran = run(*workers, record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    text = "\n".join(line for line in ran.result.stderr.lines if line)
    assert "\n".join(BAD_TEXT) in text


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_strict_refuses_untyped_tests_before_anything_runs(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        test_mixed="""
        import pathlib, pytest
        @pytest.mark.unit
        def test_typed(): pathlib.Path("ran").touch()
        def test_untyped(): pathlib.Path("ran").touch()
        """
    )

    ran = run("--sergas-strict", *workers, record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "  strict: 1 test has no type; mark each with one of the type markers (pytest --markers), "
        "or give its directory a type with paths:\n    test_mixed.py::test_untyped"
    ) in "\n".join(ran.result.stderr.lines)
    assert not (pytester.path / "ran").exists()
