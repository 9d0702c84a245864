"""What ties a test to others: shared fixtures of class, module and package scope, and groups."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_sergas.core.durations import Duration, to_json
from pytest_sergas.core.plan import Collected, History, Rules, plan
from pytest_sergas.plugin.units import Ties
from tests.plugin.conftest import Run

pytestmark = pytest.mark.integration


def units(pytester: pytest.Pytester) -> set[frozenset[str]]:
    """Return the names of the tests of each unit of what `pytester` has been given."""
    items, _ = pytester.inline_genitems("-p", "no:cacheprovider")
    ties = Ties()
    tests = [Collected(item.nodeid, "unit", ties.of(item)) for item in items]
    names = [item.nodeid.partition("::")[2] for item in items]
    # Every set-up is too expensive to be repeated, and every test too long to be joined with its neighbours.
    recorded = {test.node_id: 10.0 for test in tests}
    made = plan(tests, Rules(), History(recorded, recorded), workers=4)
    return {frozenset(names[place] for place in unit.tests) for unit in made.units}


def together(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            "def test_a(): pass\ndef test_b(): pass", {together("test_a"), together("test_b")}, id="nothing shared"
        ),
        pytest.param(
            """
            @pytest.fixture(scope="module")
            def server(): pass
            def test_a(server): pass
            def test_b(): pass
            @pytest.mark.usefixtures("server")
            def test_c(): pass
            """,
            {together("test_a", "test_c"), together("test_b")},
            id="module",
        ),
        pytest.param(
            """
            @pytest.fixture(scope="module")
            def server(): pass
            @pytest.fixture
            def client(server): pass
            def test_a(client): pass
            def test_b(server): pass
            """,
            {together("test_a", "test_b")},
            id="over another fixture",
        ),
        pytest.param(
            """
            @pytest.fixture(scope="module")
            def one(): pass
            @pytest.fixture(scope="module")
            def two(): pass
            def test_a(one): pass
            def test_b(one, two): pass
            def test_c(two): pass
            """,
            {together("test_a", "test_b", "test_c")},
            id="over another test",
        ),
        pytest.param(
            """
            @pytest.fixture(scope="class", autouse=True)
            def lock(): pass
            class TestA:
                def test_a(self): pass
                def test_b(self): pass
            class TestB:
                def test_a(self): pass
            def test_alone(): pass
            def test_too(): pass
            """,
            {
                together("TestA::test_a", "TestA::test_b"),
                together("TestB::test_a"),
                together("test_alone"),
                together("test_too"),
            },
            id="class",
        ),
        pytest.param(
            """
            @pytest.fixture(scope="session", autouse=True)
            def database(): pass
            def test_a(database): pass
            def test_b(database): pass
            """,
            {together("test_a"), together("test_b")},
            id="session",
        ),
        pytest.param(
            "def setup_module(): pass\ndef test_a(): pass\ndef test_b(): pass",
            {together("test_a", "test_b")},
            id="setup_module",
        ),
        pytest.param(
            """
            class TestA:
                @classmethod
                def setup_class(cls): pass
                def test_a(self): pass
                def test_b(self): pass
            """,
            {together("TestA::test_a", "TestA::test_b")},
            id="setup_class",
        ),
        pytest.param(
            """
            class TestA(unittest.TestCase):
                def setUp(self): pass
                def test_a(self): pass
                def test_b(self): pass
            """,
            {together("TestA::test_a"), together("TestA::test_b")},
            id="TestCase without setUpClass",
        ),
        pytest.param(
            """
            class TestA(unittest.TestCase):
                @classmethod
                def setUpClass(cls): pass
                def test_a(self): pass
                def test_b(self): pass
            """,
            {together("TestA::test_a", "TestA::test_b")},
            id="setUpClass",
        ),
        pytest.param(
            """
            class Base(unittest.TestCase):
                @classmethod
                def tearDownClass(cls): pass
            class TestA(Base):
                def test_a(self): pass
                def test_b(self): pass
            """,
            {together("TestA::test_a", "TestA::test_b")},
            id="tearDownClass of a base class",
        ),
        pytest.param(
            """
            @pytest.mark.xdist_group("db")
            def test_a(): pass
            def test_b(): pass
            @pytest.mark.xdist_group(name="db")
            def test_c(): pass
            """,
            {together("test_a", "test_c"), together("test_b")},
            id="group",
        ),
        pytest.param(
            """
            @pytest.mark.parametrize("n", [1, 2], scope="module")
            def test_a(n): pass
            """,
            {together("test_a[1]"), together("test_a[2]")},
            id="parameter with a scope",
        ),
    ],
)
def test_units_are_what_shares_a_set_up(pytester: pytest.Pytester, source: str, expected: set[frozenset[str]]) -> None:
    pytester.makepyfile("import unittest, pytest\n" + dedent(source))

    assert units(pytester) == expected


def test_package_scoped_fixture_ties_the_package_that_it_belongs_to(pytester: pytest.Pytester) -> None:
    fixture = "import pytest\n@pytest.fixture(scope='package', autouse=True)\ndef shared(): pass"
    for name in ("one", "two"):
        package = pytester.mkpydir(name)
        (package / "conftest.py").write_text(fixture, "utf-8")
        for module in ("test_x.py", "test_y.py"):
            (package / module).write_text(f"def test_{name}_{module[5]}(): pass", "utf-8")

    assert units(pytester) == {together("test_one_x", "test_one_y"), together("test_two_x", "test_two_y")}


@pytest.mark.parametrize("name", ["setup_module", "setUpModule", "teardown_module", "tearDownModule"])
def test_set_up_functions_of_a_package_tie_its_tests_and_those_below(pytester: pytest.Pytester, name: str) -> None:
    package = pytester.mkpydir("shop")
    (package / "__init__.py").write_text(f"def {name}(): pass\n", "utf-8")
    below, beside = package / "below", pytester.mkpydir("beside")
    below.mkdir()
    (below / "__init__.py").touch()
    for number, directory in enumerate((package, below, beside)):
        for letter in "ab":
            source = f"def test_{number}{letter}(): pass"
            (directory / f"test_{number}{letter}.py").write_text(source, "utf-8")

    assert units(pytester) == {
        together("test_0a", "test_0b", "test_1a", "test_1b"),
        together("test_2a"),
        together("test_2b"),
    }


def test_package_with_an_expensive_set_up_is_set_up_once_with_workers(pytester: pytest.Pytester, run: Run) -> None:
    package = pytester.mkpydir("shop")
    (package / "__init__.py").write_text("def setup_module(): open('set-ups', 'a').write('x')\n", "utf-8")
    for letter in "abcd":
        (package / f"test_{letter}.py").write_text("def test_one(): pass\ndef test_two(): pass\n", "utf-8")
    known = {f"shop/test_{letter}.py::test_{name}": Duration(2.0, 0.0) for letter in "abcd" for name in ("one", "two")}
    known["shop/test_a.py::test_one"] = Duration(9.0, 7.0)
    (pytester.path / "known.json").write_bytes(to_json(known))

    ran = run("-n2", "--sergas-durations=known.json")

    assert set(ran.outcomes.values()) == {"passed"}
    assert (pytester.path / "set-ups").read_text("utf-8") == "x"


def test_package_scoped_fixture_above_all_packages_ties_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture(scope='package', autouse=True)\ndef shared(): pass")
    pytester.makepyfile("def test_a(): pass\ndef test_b(): pass")

    assert units(pytester) == {together("test_a"), together("test_b")}
