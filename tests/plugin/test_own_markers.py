"""A marker that a suite registers itself is the suite's, until there is a configuration of ours."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration

INI = "[pytest]\nmarkers = stress: many at once, as this suite means it\n"
CONFTEST = """
def pytest_configure(config):
    config.addinivalue_line("markers", "stress: many at once, as this suite means it")
"""
STRESS = """
import pytest

@pytest.mark.stress(level=3)
def test_stress(): pass

def test_other(): pass
"""
LINE = (
    "sergas: stress: a marker that this suite registers itself, so it brings no policy; "
    "with a sergas.toml, be it empty, it does"
)


def register(pytester: pytest.Pytester, where: str) -> None:
    if where == "ini":
        pytester.makeini(INI)
    elif where == "pyproject":
        pytester.makepyprojecttoml('[tool.pytest]\nmarkers = ["stress: many at once"]\n')
    elif where == "plugin":
        pytester.makepyfile(its_plugin=CONFTEST)
        pytester.makeconftest('pytest_plugins = ["its_plugin"]')
    else:
        pytester.makeconftest(CONFTEST)


@pytest.mark.parametrize("where", ["ini", "pyproject", "conftest", "plugin"])
@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n2",), id="workers")])
def test_it_brings_no_policy_and_one_line_says_so(
    pytester: pytest.Pytester, run: Run, where: str, workers: tuple[str, ...]
) -> None:
    register(pytester, where)
    pytester.makepyfile(STRESS)

    ran = run(*workers, "--strict-markers", record=False)

    ran.result.assert_outcomes(passed=2)  # with our policy its keyword would be a usage error
    assert [line for line in ran.result.outlines if "sergas" in line and not line.startswith("plugins:")] == [LINE]


def test_it_brings_its_policy_with_a_configuration_be_it_empty(pytester: pytest.Pytester, run: Run) -> None:
    register(pytester, "ini")
    pytester.makefile(".toml", sergas="")
    pytester.makepyfile(STRESS)

    ran = run(record=False)

    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert "stress(level=...)" in ran.result.stderr.str() or "level" in ran.result.stderr.str()


@pytest.mark.parametrize(
    "table", ["[tool.sergas]", "[tool.sergas.types.unit]\ntimeout = 5", "[tool]\nsergas = {}", '[tool."sergas"]']
)
def test_every_way_to_write_the_table_is_a_configuration(pytester: pytest.Pytester, run: Run, table: str) -> None:
    pytester.makepyprojecttoml(f'{table}\n[tool.pytest]\nmarkers = ["stress: many at once"]\n')
    pytester.makepyfile("import pytest\n@pytest.mark.stress\ndef test_stress(): pass")

    ran = run()

    assert ran.tests["test_stress"]["type"] == "stress"
    assert "brings no policy" not in ran.text


def test_option_alone_is_no_configuration(pytester: pytest.Pytester, run: Run) -> None:
    register(pytester, "ini")
    pytester.makepyfile(STRESS)

    ran = run()

    assert {name: test["type"] for name, test in ran.tests.items()} == {
        "test_stress": "untyped",
        "test_other": "untyped",
    }
    assert LINE.replace("sergas: ", "note: ") in ran.text.replace("\n  ", " ")


def test_decorators_and_other_types_bring_theirs(pytester: pytest.Pytester, run: Run) -> None:
    register(pytester, "ini")
    pytester.makepyfile(
        """
        import pytest
        from pytest_sergas import TestType, test

        @pytest.mark.stress
        def test_suites(): pass

        @test(TestType.STRESS)
        def test_ours(): pass

        @pytest.mark.unit
        def test_unregistered(): pass

        @test(TestType.STRESS)
        class TestClass:
            def test_in_class(self): pass
        """
    )

    ran = run()

    assert {name: test["type"] for name, test in ran.tests.items()} == {
        "test_suites": "untyped",
        "test_ours": "stress",
        "test_unregistered": "unit",
        "TestClass::test_in_class": "stress",
    }


def test_decorator_alone_starts_a_run_where_nothing_is_asked_for(pytester: pytest.Pytester, run: Run) -> None:
    register(pytester, "ini")
    pytester.makepyfile("from pytest_sergas import TestType, test\n@test(TestType.STRESS)\ndef test_ours(): pass")

    assert re.search(r"^stress +1 +1 ", run(record=False).text, re.MULTILINE)


def test_no_line_where_no_test_carries_it_or_nothing_runs(pytester: pytest.Pytester, run: Run) -> None:
    register(pytester, "ini")
    pytester.makepyfile(test_a=STRESS, test_b="def test_plain(): pass")

    assert "brings no policy" not in run("test_b.py", record=False).text
    assert "brings no policy" not in run("--co", record=False).text
    assert "brings no policy" not in run("--no-sergas", record=False).text
    assert "brings no policy" in run("-q", record=False).text


@pytest.mark.parametrize("where", ["ini", "conftest", "plugin"])
@pytest.mark.parametrize("files", [(), ("sergas",)], ids=["no configuration", "configuration"])
def test_markers_shows_the_suites_text_and_ours_for_the_others(
    pytester: pytest.Pytester, run: Run, where: str, files: tuple[str, ...]
) -> None:
    register(pytester, where)
    for name in files:
        pytester.makefile(".toml", **{name: ""})

    lines = [line for line in run("--markers", record=False).result.outlines if line.startswith("@pytest.mark.")]

    assert [line for line in lines if "mark.stress" in line] == [
        "@pytest.mark.stress: many at once, as this suite means it"
    ]
    assert len([line for line in lines if "mark.unit" in line]) == 1


def test_marker_that_a_conftest_adds_while_collecting_brings_its_type(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if "slow" in item.nodeid:
                    item.add_marker(pytest.mark.integration(retries=1))
        """
    )
    pytester.makepyfile(
        """
        seen = []

        def test_slow():
            seen.append(1)
            assert len(seen) > 1

        def test_other(): pass
        """
    )

    ran = run()
    assert {name: (test["type"], test["rawStatus"]) for name, test in ran.tests.items()} == {
        "test_slow": ("integration", "flaky"),
        "test_other": ("untyped", "passed"),
    }
    assert re.search(r"^integration +1 +- +- +1 ", run(record=False).text, re.MULTILINE)
