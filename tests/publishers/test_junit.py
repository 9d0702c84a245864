"""The JUnit file after the run: one case for each test, its failed attempts inside, everything else kept."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.records import Outcome, TestRecord
from pytest_sergas.core.text import clean
from pytest_sergas.errors import PublishError
from pytest_sergas.publishers.junit import JUnit, create, escape, mend
from tests.publishers.conftest import Run, attempt, context_for, forever_s, record, run_of

pytestmark = pytest.mark.unit

_TIMES = re.compile(r' (?:time|timestamp)="[^"]*"')
HEAD = '<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">'
FAILURE = '<failure message="m">trace</failure>'
ERROR = '<error message="failed on teardown">trace</error>'


def document(*cases: str, **counts: int) -> bytes:
    """Return a file as pytest writes it; the counts are right unless others are given."""
    given = {
        "errors": sum("<error" in case and "<failure" not in case for case in cases),
        "failures": sum("<failure" in case for case in cases),
        "skipped": sum("<skipped" in case for case in cases),
        "tests": counts.pop("tests_before", len(cases)),
        **counts,
    }
    attributes = " ".join(f'{name}="{number}"' for name, number in given.items())
    return (
        f'{HEAD}<testsuite name="pytest" {attributes} time="1.000">{"".join(cases)}</testsuite></testsuites>'.encode()
    )


def case(name: str = "test_a", *children: str, classname: str = "tests.test_shop", time: str = "0.500") -> str:
    return f'<testcase classname="{classname}" name="{name}" time="{time}">{"".join(children)}</testcase>'


def mended(*cases: str, tests: list[TestRecord], prefix: str = "", **counts: int) -> ET.Element:
    """Return the testsuite after mending, which must have been necessary."""
    result = mend(document(*cases, **counts), tests, prefix)
    assert result is not None
    suite = ET.fromstring(result).find("testsuite")  # noqa: S314  written a moment ago
    assert suite is not None
    return suite


def counts(suite: ET.Element) -> dict[str, int]:
    return {name: int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")}


def children(suite: ET.Element) -> list[str]:
    (only,) = suite
    return [element.tag for element in only]


def shop(*attempts: object, name: str = "test_a") -> TestRecord:
    return record(f"tests/test_shop.py::{name}", *attempts)  # type: ignore[arg-type]  # by hand


def test_without_a_junit_file_there_is_no_publisher(tmp_path: Path) -> None:
    assert create(context_for(tmp_path)) is None


def test_publisher_knows_file_and_prefix(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"

    publisher = create(context_for(tmp_path, junit_path=path, junit_prefix="pre"))

    assert publisher == JUnit(path, "pre")
    assert publisher.writes == (path,)


@pytest.mark.parametrize(
    ("cases", "test"),
    [
        pytest.param([case()], shop(), id="passed"),
        pytest.param([case("test_a", FAILURE)], shop(Outcome.FAILED), id="failed"),
        pytest.param([case("test_a", ERROR)], shop(Outcome.ERROR), id="teardown failed"),
        pytest.param([case("test_a", '<skipped message="x"/>')], shop(Outcome.SKIPPED), id="skipped"),
        pytest.param([case("other")], shop(), id="a passed test under a name that somebody changed"),
    ],
)
def test_file_in_which_everything_is_right_is_not_touched(cases: list[str], test: TestRecord) -> None:
    assert mend(document(*cases), [test], "") is None


def test_flaky_test_is_one_passed_case_with_its_failed_attempts() -> None:
    first = attempt(Outcome.FAILED, message="ConnectionError: reset\nmore", trace="the trace")
    second = attempt(Outcome.ERROR, message="OSError: busy", trace="another")

    suite = mended(case(), case(), case(time="0.250"), tests=[shop(first, second, attempt())])

    assert counts(suite) == {"tests": 1, "failures": 0, "errors": 0, "skipped": 0}
    assert ET.tostring(suite[0], encoding="unicode") == (
        '<testcase classname="tests.test_shop" name="test_a" time="0.250">'
        '<flakyFailure message="ConnectionError: reset&#10;more" type="ConnectionError">'
        "<stackTrace>the trace</stackTrace></flakyFailure>"
        '<flakyError message="OSError: busy" type="OSError"><stackTrace>another</stackTrace></flakyError>'
        "</testcase>"
    )


def test_test_that_failed_at_every_attempt_is_one_failure_with_reruns() -> None:
    tests = [shop(*[attempt(Outcome.FAILED, message=f"AssertionError: {number}") for number in (1, 2, 3)])]

    suite = mended(case(), case(), case("test_a", '<failure message="3">t</failure>'), tests=tests)

    assert counts(suite) == {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}
    assert [(element.tag, element.get("message")) for element in suite[0]] == [
        ("failure", "3"),
        ("rerunFailure", "AssertionError: 1"),
        ("rerunFailure", "AssertionError: 2"),
    ]


def test_test_that_was_skipped_after_a_failure_did_not_fail() -> None:
    suite = mended(case(), case("test_a", '<skipped message="x"/>'), tests=[shop(Outcome.FAILED, Outcome.SKIPPED)])

    assert children(suite) == ["flakyFailure", "skipped"]
    assert counts(suite) == {"tests": 1, "failures": 0, "errors": 0, "skipped": 1}


def test_failed_call_with_a_failed_teardown_is_one_failure() -> None:
    suite = mended(case("test_a", FAILURE), case("test_a", ERROR, time="0.125"), tests=[shop(Outcome.FAILED)])

    assert children(suite) == ["failure", "error"]
    assert counts(suite) == {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}
    assert suite[0].get("time") == "0.625"


def test_skip_that_hides_a_failed_teardown_goes() -> None:
    suite = mended(case("test_a", '<skipped message="x"/>', ERROR), tests=[shop(Outcome.ERROR)], skipped=1, errors=1)

    assert children(suite) == ["error"]
    assert counts(suite) == {"tests": 1, "failures": 0, "errors": 1, "skipped": 0}


def test_counts_are_those_of_the_cases() -> None:
    # As a subtest leaves them: counted, but without a case.
    suite = mended(case("test_a", FAILURE, FAILURE), tests=[shop(Outcome.FAILED)], tests_before=3, failures=2)

    assert counts(suite) == {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}


def test_case_without_a_name_goes() -> None:
    tests = [shop(attempt(Outcome.CRASHED, message="worker 'gw0' crashed"), attempt())]

    suite = mended('<testcase time="0.000"/>', case(), tests=tests)

    assert children(suite) == ["flakyError"]
    assert suite[0][0].get("type") == "crashed"
    assert counts(suite)["tests"] == 1


def test_order_and_the_cases_of_others_stay() -> None:
    cases = [case("test_z"), case("test_a"), case("test_b"), case("test_a"), case("somebody_else_s")]
    tests = [shop(name="test_z"), shop(Outcome.FAILED, Outcome.PASSED), shop(name="test_b")]

    suite = mended(*cases, tests=tests)

    assert [element.get("name") for element in suite] == ["test_z", "test_a", "test_b", "somebody_else_s"]


def test_what_others_put_there_stays() -> None:
    suite_properties = '<properties><property name="arch" value="arm"/></properties>'
    own = '<properties><property name="n" value="2"/></properties>'
    cases = [
        case("test_a", "<system-out>first</system-out><system-err>e</system-err>"),
        case("test_a", own, "<system-out>both</system-out>").replace("<testcase ", '<testcase req="R-1" '),
    ]
    written = document(*cases).replace(b"<testcase", suite_properties.encode() + b"<testcase", 1)

    result = mend(written, [shop(attempt(Outcome.FAILED, message="assert 0"), attempt())], "")

    assert result is not None
    text = result.decode()
    assert text == (
        f'{HEAD}<testsuite name="pytest" errors="0" failures="0" skipped="0" tests="1" time="1.000">'
        '<properties><property name="arch" value="arm" /></properties>'
        '<testcase classname="tests.test_shop" name="test_a" time="0.500" req="R-1">'
        '<properties><property name="n" value="2" /></properties>'
        '<flakyFailure message="assert 0" type="AssertionError"><stackTrace>assert 0</stackTrace>'
        "<system-out>first</system-out><system-err>e</system-err></flakyFailure>"
        "<system-out>both</system-out></testcase></testsuite></testsuites>"
    )


@pytest.mark.parametrize(
    ("node_id", "classname", "name", "prefix"),
    [
        pytest.param("tests/a/test_b.py::test_c", "tests.a.test_b", "test_c", "", id="function"),
        pytest.param("test_b.py::TestC::TestD::test_e", "test_b.TestC.TestD", "test_e", "", id="nested class"),
        pytest.param("test_b.py::test_c", "pre.test_b", "test_c", "pre", id="prefix"),
        pytest.param("test_b.py::test_c[a::b/c.py]", "test_b", "test_c[a::b/c.py]", "", id="parameter like a node id"),
        pytest.param("test_b.py::test_c[x[1]]", "test_b", "test_c[x[1]]", "", id="brackets"),
        pytest.param("docs/usage.rst::usage.rst", "docs.usage.rst", "usage.rst", "", id="doctest in a text file"),
        pytest.param("test_b.py::test_b.thing", "test_b", "test_b.thing", "", id="doctest in a module"),
        pytest.param("test_b.py", "", "test_b", "", id="collection error"),
        pytest.param("test_b.py", "pre", "test_b", "pre", id="collection error with a prefix"),
    ],
)
def test_case_of_a_repeated_test_is_found(node_id: str, classname: str, name: str, prefix: str) -> None:
    written = case(name, classname=classname)

    suite = mended(written, written, tests=[record(node_id, Outcome.FAILED, Outcome.PASSED)], prefix=prefix)

    assert len(suite) == 1


def test_case_of_a_test_with_a_huge_parameter_is_found() -> None:
    name = f"test_a[{'x' * 100_000}]"
    node_id = clean(f"tests/test_shop.py::{name}", 1_000)

    suite = mended(case(name), case(name), tests=[record(node_id, Outcome.FAILED, Outcome.PASSED)])

    assert len(suite) == 1


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("ValueError: no", "ValueError", id="exception"),
        pytest.param("shop.errors.Sold: out", "shop.errors.Sold", id="exception of a module"),
        pytest.param("KeyboardInterrupt", "KeyboardInterrupt", id="without a text"),
        pytest.param("assert 1 == 2", "AssertionError", id="plain assertion"),
        pytest.param("something else", "failed", id="no exception"),
        pytest.param("", "failed", id="nothing"),
    ],
)
def test_type_is_the_exception(message: str, expected: str) -> None:
    suite = mended(case(), case(), tests=[shop(attempt(Outcome.FAILED, message=message), attempt())])

    assert suite[0][0].get("type") == expected


@given(st.text(st.characters()))
def test_every_message_is_valid_xml(text: str) -> None:
    suite = mended(case(), case(), tests=[shop(attempt(Outcome.FAILED, message=text, trace=text), attempt())])

    # A parser reads every kind of line end as the same one, but not in an attribute, where it is written as a number.
    assert suite[0][0].get("message") == escape(text)
    assert suite[0][0].findtext("stackTrace") == escape(text).replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    ("text", "expected"), [("\x1b[1m", "#x1B[1m"), ("\ud800", "#xD800"), ("\x7f", "#x7F"), ("é\t\n🙂", "é\t\n🙂")]
)
def test_characters_that_xml_cannot_hold_are_written_as_pytest_does(text: str, expected: str) -> None:
    assert escape(text) == expected


def left_alone(tmp_path: Path, content: bytes, *tests: TestRecord) -> str:
    path = tmp_path / "j.xml"
    path.write_bytes(content)
    with pytest.raises(PublishError) as raised:
        JUnit(path).publish(run_of(*tests), forever_s)
    assert path.read_bytes() == content
    return str(raised.value).removeprefix(f"{path} ")


def test_file_that_is_no_xml_is_left_alone(tmp_path: Path) -> None:
    assert left_alone(tmp_path, b"<testsuites>\x01") == (
        "stays as pytest wrote it: not well-formed (invalid token): line 1, column 12"
    )


@pytest.mark.parametrize("content", [b"<html/>", b"<testsuites><testsuite/><testsuite/></testsuites>"])
def test_file_that_pytest_would_not_write_is_left_alone(tmp_path: Path, content: bytes) -> None:
    assert left_alone(tmp_path, content) == "stays as pytest wrote it: it does not have one testsuite"


def test_file_without_a_repeated_test_is_left_alone(tmp_path: Path) -> None:
    assert left_alone(tmp_path, document(case("renamed")), shop(Outcome.FAILED, Outcome.PASSED)) == (
        "stays as pytest wrote it: tests/test_shop.py::test_a was repeated and is not in it"
    )


def test_file_with_a_name_that_two_tests_share_is_left_alone(tmp_path: Path) -> None:
    content = document(case(), case(), case())

    assert left_alone(tmp_path, content, shop(), shop(Outcome.FAILED, Outcome.PASSED)) == (
        "stays as pytest wrote it: 2 tests have the name 'tests.test_shop.test_a' there, and one was repeated"
    )


def test_two_tests_of_one_name_that_were_not_repeated_keep_their_cases() -> None:
    assert mend(document(case(), case("test_a", FAILURE)), [shop(), shop(Outcome.FAILED)], "") is None


def test_missing_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"

    with pytest.raises(PublishError) as raised:
        JUnit(path).publish(run_of(), forever_s)

    assert str(raised.value) == f"{path} cannot be read: No such file or directory"


def test_device_is_left_alone() -> None:
    assert JUnit(Path("/dev/zero")).publish(run_of(), forever_s).lines == ()


def test_right_file_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    path.write_bytes(document(case()))
    before = path.stat()

    JUnit(path).publish(run_of(shop()), forever_s)

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_mended_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "j.xml"
    path.write_bytes(document(case(), case()))

    publication = JUnit(path).publish(run_of(shop(Outcome.FAILED, Outcome.PASSED)), forever_s)

    assert path.read_bytes().count(b"<testcase") == 1
    assert list(tmp_path.iterdir()) == [path]
    assert (publication.place, publication.lines) == ("", ())


SUITE = r'''
    import pytest

    tries = {}

    def nth(name):
        tries[name] = tries.get(name, 0) + 1
        return tries[name]

    def documented():
        """
        >>> 1 + 1
        2
        """

    @pytest.mark.unit(retries=2)
    def test_flaky(record_property):
        record_property("try", nth("flaky"))
        print("output", tries["flaky"])
        assert tries["flaky"] == 3, "not yet \x01"

    @pytest.mark.unit(retries=1)
    def test_always():
        assert 0, f"try {nth('always')}"

    @pytest.fixture
    def shaky_setup():
        assert nth("setup") == 2

    @pytest.mark.unit(retries=1)
    def test_shaky_setup(shaky_setup): pass

    @pytest.fixture
    def shaky_teardown():
        yield
        assert nth("teardown") == 2

    @pytest.mark.unit(retries=1)
    def test_shaky_teardown(shaky_teardown): pass

    @pytest.fixture
    def broken_teardown():
        yield
        raise OSError("teardown")

    def test_only_teardown(broken_teardown): pass

    def test_call_and_teardown(broken_teardown):
        assert 0, "call"

    @pytest.mark.skip(reason="later")
    def test_skipped(): pass

    @pytest.mark.xfail(reason="known")
    def test_expected(): assert 0

    def test_subtests(subtests):
        with subtests.test("one"):
            assert 0
        with subtests.test("two"):
            pass

    class TestClass:
        @pytest.mark.parametrize("value", ["a::b", "x[1]"])
        def test_method(self, value): pass
'''


def read(path: Path) -> tuple[ET.Element, dict[str, list[str]]]:
    suite = ET.parse(path).getroot().find("testsuite")  # noqa: S314  written a moment ago
    assert suite is not None
    names = [element.get("name", "") for element in suite.iter("testcase")]
    assert len(names) == len(set(names))
    return suite, {
        element.get("name", ""): [child.tag for child in element if child.tag not in {"properties", "system-out"}]
        for element in suite.iter("testcase")
    }


@pytest.mark.integration
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_file_of_a_mixed_suite_has_one_case_for_each_test(
    pytester: pytest.Pytester, run: Run, workers: tuple[str, ...], family: str
) -> None:
    pytester.makepyfile(test_shop=SUITE)
    options = ("-o", f"junit_family={family}", "-o", "junit_logging=system-out", "-o", "junit_suite_name=shop")

    ran = run("--junitxml=out/j.xml", "--junitprefix=pre", "--doctest-modules", *options, *workers)

    suite, found = read(pytester.path / "out" / "j.xml")
    assert found == {
        "test_shop.documented": [],
        "test_flaky": ["flakyFailure", "flakyFailure"],
        "test_always": ["failure", "rerunFailure"],
        "test_shaky_setup": ["flakyError"],
        "test_shaky_teardown": ["flakyError"],
        "test_only_teardown": ["error"],
        "test_call_and_teardown": ["failure", "error"],
        "test_skipped": ["skipped"],
        "test_expected": ["skipped"],
        "test_subtests": ["failure", "failure"],
        "test_method[a::b]": [],
        "test_method[x[1]]": [],
    }
    assert counts(suite) == {"tests": 12, "failures": 3, "errors": 1, "skipped": 2}
    assert suite.get("name") == "shop"
    assert "not sent" not in ran.text


@pytest.mark.integration
def test_properties_and_output_of_a_flaky_test_are_kept(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_shop=SUITE)

    run("--junitxml=j.xml", "-o", "junit_logging=system-out", "-k", "test_flaky")

    suite, _ = read(pytester.path / "j.xml")
    (flaky,) = suite
    assert [element.get("value") for element in flaky.iter("property")][-1] == "3"
    assert "output 3" in (flaky.findtext("system-out") or "")
    first = flaky.find("flakyFailure")
    assert first is not None
    assert first.get("message", "").startswith("AssertionError: not yet #x01")
    assert "output 1" in (first.findtext("system-out") or "")
    assert "test_shop.py" in (first.findtext("stackTrace") or "")


@pytest.mark.integration
def test_collection_error_is_one_case(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_broken="def test(:", test_shop=SUITE)

    ran = run("--junitxml=j.xml", "--doctest-modules", "--continue-on-collection-errors", "-k", "test_flaky or broken")

    suite, found = read(pytester.path / "j.xml")
    assert found == {"test_broken": ["error", "error"], "test_flaky": ["flakyFailure", "flakyFailure"]}
    assert counts(suite) == {"tests": 2, "failures": 0, "errors": 1, "skipped": 0}
    assert "not sent" not in ran.text


@pytest.mark.integration
def test_crashed_and_repeated_test_is_one_case(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest

        @pytest.mark.unit(retries=1)
        def test_crash():
            mark = pathlib.Path("crashed")
            if not mark.exists():
                mark.touch()
                os._exit(3)
        """
    )

    run("--junitxml=j.xml", "-n", "1")

    suite, found = read(pytester.path / "j.xml")
    assert found == {"test_crash": ["flakyError"]}
    assert counts(suite) == {"tests": 1, "failures": 0, "errors": 0, "skipped": 0}


@pytest.mark.integration
def test_file_of_a_suite_without_repetitions_is_the_one_that_pytest_writes(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("def test_plain(): pass\ndef test_bad(): assert 0, '\\x01'")

    run("--junitxml=with.xml", record=False)
    run("--junitxml=without.xml", "--no-sergas", record=False)

    ours, theirs = ((pytester.path / name).read_text("utf-8") for name in ("with.xml", "without.xml"))
    assert _TIMES.sub("", ours) == _TIMES.sub("", theirs)
