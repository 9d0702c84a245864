"""The table by type on the terminal, and what stands below it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.measurement import Measurement, Use
from pytest_sergas.core.records import Outcome, Refusal, TestType
from pytest_sergas.core.text import columns
from pytest_sergas.publishers import Segment
from pytest_sergas.publishers.terminal import WIDTH, Terminal, count, create, terminal_width
from tests.publishers.conftest import Run, attempt, context_for, forever_s, record, run_of, text_of

pytestmark = pytest.mark.unit

MIXED = """
    import pytest

    tries = []

    @pytest.mark.unit
    def test_fine(): pass

    @pytest.mark.unit
    def test_bad(): assert 1 == 2

    @pytest.mark.integration(retries=1)
    def test_shaky():
        tries.append(1)
        assert len(tries) == 2, "the provider did not answer"

    @pytest.mark.e2e(timeout=0.2)
    def test_hangs():
        import threading
        threading.Event().wait(30)
"""


def shown(*tests: object, slowest: int = 3, **fields: object) -> str:
    return text_of(Terminal(slowest).publish(run_of(*tests, **fields), forever_s))  # type: ignore[arg-type]  # by hand


def test_publisher_is_always_there(tmp_path: Path) -> None:
    assert create(context_for(tmp_path, slowest=5)) == Terminal(5, terminal_width())


def test_table_has_a_row_for_each_type_and_one_for_all() -> None:
    text = shown(
        record("a"),
        record("b", Outcome.FAILED),
        record("c", Outcome.FAILED, Outcome.PASSED, type="integration"),
        record("d", Outcome.SKIPPED, type="integration"),
        slowest=1,
    )

    assert text.splitlines()[:4] == [
        "type           tests passed failed  flaky   skip retries success slowest    wall",
        "unit               2      1      1      -      -       -   50.0%  500 ms  500 ms",
        "integration        2      -      -      1      1       1    100%  500 ms  500 ms",
        "all                4      1      1      1      1       1   66.7%  500 ms  500 ms",
    ]


def test_single_type_needs_no_row_for_all() -> None:
    assert [line.split()[0] for line in shown(record("a"), slowest=0).splitlines()] == ["type", "unit"]


def test_suite_without_types_shows_nothing() -> None:
    publication = Terminal(3).publish(run_of(record("a", Outcome.FAILED, type="untyped")), forever_s)

    assert (publication.title, publication.lines, publication.brief) == ("", (), ())


def test_run_without_tests_shows_nothing() -> None:
    assert shown() == ""


def test_flaky_test_is_named_with_what_happened_first() -> None:
    shaky = record("tests/test_a.py::test_b", attempt(Outcome.TIMEOUT, message="Timeout (>1s)\nmore"), attempt())

    assert textwrap.dedent(
        """\
        flaky: tests/test_a.py::test_b passed at attempt 2
               timeout at first: Timeout (>1s) more
        """
    ) in shown(shaky)


def test_many_flaky_tests_are_counted_beyond_ten() -> None:
    text = shown(*(record(f"t{index}", Outcome.FAILED, Outcome.PASSED) for index in range(13)))

    assert text.count("passed at attempt 2") == 10
    assert "flaky: and 3 more" in text


def test_finer_kinds_of_failure_are_said() -> None:
    assert "failed: 1 error, 1 crashed" in shown(record("a", Outcome.ERROR), record("b", Outcome.CRASHED))


@pytest.mark.parametrize(
    ("use", "line"),
    [
        (Use("max_memory_mb", 150.25, 100.0), "max_memory_mb = 100, used 150.2 MiB (150%)"),
        (Use("max_cpu", 1.5, 1.0), "max_cpu = 1, used 1.5 s (150%)"),
        (Use("max_regression", 0.5, 0.2), "max_regression = 20%, took 50% more than in earlier runs"),
    ],
)
def test_budget_that_was_exceeded_is_shown_with_what_was_used(use: Use, line: str) -> None:
    measured = Measurement("wall", 1.0, 1.0, 1.0, uses=(use, Use("max_duration", 1.0, 2.0)))
    text = shown(record("a.py::b", attempt(Outcome.OVER_BUDGET, measured=measured)), slowest=0)

    assert text.splitlines()[-2:] == ["over budget: a.py::b", f"       {line}"]


@pytest.mark.parametrize(
    ("outcome", "label"), [(Outcome.OVER_BUDGET, "over budget"), (Outcome.QUARANTINED, "quarantined")]
)
def test_many_tests_are_counted_beyond_ten(outcome: Outcome, label: str) -> None:
    tests = [record(f"a.py::t{index}", Outcome.FAILED)._replace(outcome=outcome) for index in range(13)]

    lines = shown(*tests, slowest=0).splitlines()

    assert sum(line.startswith(f"{label}: a.py::t") for line in lines) == 10
    assert lines[-1] == f"{label}: and 3 more"


def test_reason_for_an_early_end_is_said() -> None:
    assert "stopped: stopping after 1 failures" in shown(record("a"), stopped="stopping after 1 failures")


def test_unfinished_tests_are_named_and_counted_beyond_ten() -> None:
    text = shown(record("a"), unfinished=tuple(f"test_a.py::test_{index}" for index in range(12)))

    assert "not finished: test_a.py::test_0" in text
    assert "not finished: and 2 more" in text


def test_notes_are_shown() -> None:
    assert "note: max_cpu is recorded" in shown(record("a"), notes=("max_cpu is recorded",))


def test_slowest_tests_are_named_over_all_types() -> None:
    slow = record("test_a.py::test_slow", attempt(call_s=75.0), type="load")

    assert (
        shown(slow, record("test_a.py::test_b"), slowest=1).splitlines()[-1] == "slowest:  75.2 s test_a.py::test_slow"
    )


def test_brief_form_is_only_what_went_wrong() -> None:
    shaky = record("t", Outcome.FAILED, Outcome.PASSED)

    assert Terminal(3).publish(run_of(record("a")), forever_s).brief == ()
    assert len(Terminal(3).publish(run_of(shaky, stopped="x"), forever_s).brief) == 3


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "-"), (7, "7"), (999_999, "999999"), (1_000_000, "1.00M"), (12_345_678, "12.3M"), (1_234_567_890, "1235M")],
)
def test_count_takes_at_most_six_characters(number: int, expected: str) -> None:
    assert count(number) == expected
    assert len(expected) <= 6


def test_million_tests_of_the_longest_type_fit_the_width() -> None:
    tests = [record("t", Outcome.FAILED, Outcome.PASSED, type="compatibility")] * 1_000_000

    assert max(map(len, shown(*tests).splitlines())) <= WIDTH


@given(
    st.lists(
        st.tuples(st.text(st.characters(), max_size=200), st.sampled_from(Outcome), st.sampled_from(TestType)),
        min_size=1,
    ),
    st.text(st.characters()),
    st.floats(0, 1e7),
)
def test_no_line_is_wider_than_the_terminal_whatever_names_and_messages_hold(
    tests: list[tuple[str, Outcome, TestType]], message: str, call_s: float
) -> None:
    records = [
        record(name, attempt(Outcome.FAILED, message=message), attempt(outcome, call_s=call_s), type=kind.value)
        for name, outcome, kind in tests
    ]

    text = shown(*records, unfinished=tuple(name for name, _, _ in tests))

    assert all(columns(line) <= WIDTH for line in text.split("\n"))
    assert "\x1b" not in text


@pytest.mark.integration
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "with workers"])
def test_mixed_suite_is_summarised_at_eighty_columns(
    pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    pytester.makepyfile(test_mixed=MIXED)

    text = run("--tb=no", *workers).text

    section = text[text.index("= tests by type =") :].partition("ctrf: ")[0].splitlines()[1:]
    assert all(len(line) <= 80 for line in section)
    assert [re.split(r" +", line)[:6] for line in section[1:5]] == [
        ["unit", "2", "1", "1", "-", "-"],
        ["integration", "1", "-", "-", "1", "-"],
        ["e2e", "1", "-", "1", "-", "-"],
        ["all", "4", "1", "2", "1", "-"],
    ]
    assert "failed: 1 failed, 1 timeout" in section
    assert "flaky: test_mixed.py::test_shaky passed at attempt 2" in section


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "environ", "coloured"),
    [
        pytest.param((), {}, False, id="piped"),
        pytest.param(("--color=no",), {"FORCE_COLOR": "1"}, False, id="--color=no"),
        pytest.param((), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param(("--color=yes",), {}, True, id="--color=yes"),
    ],
)
def test_colour_is_there_only_where_it_is_on(
    pytester: pytest.Pytester,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    environ: dict[str, str],
    *,
    coloured: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    pytester.makepyfile(MIXED)

    text = run("--tb=no", *arguments).text

    assert "tests by type" in text
    assert ("\x1b[" in text) is coloured


def test_reason_for_which_a_run_fails_is_shown_whole_though_no_test_has_a_type() -> None:
    refusal = Refusal("", "quarantine: " + "word " * 60)

    text = shown(record("a", type="untyped"), refused=(refusal,), slowest=0)

    assert f"the run fails: {refusal.text}".split() == text[text.index("the run fails:") :].split()


def test_run_without_types_shows_only_its_notes() -> None:
    run = run_of(record("a", type="untyped"), notes=("workers on other machines",))

    publication = Terminal(3).publish(run, forever_s)

    assert publication.title == "sergas"
    assert publication.lines == publication.brief == ((Segment("note: workers on other machines", "yellow"),),)


def test_coverage_stands_below_the_table() -> None:
    text = shown(record("a"), coverage={"all": 90.0, "unit": 60.0}, slowest=0)

    assert text.splitlines()[-1] == "coverage: 90.0% (unit 60.0%)"
