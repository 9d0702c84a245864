"""Which tests are in quarantine, on which day, and when the quarantine itself fails the run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.quarantine import Entry, Mode, Quarantine, without_parameters
from pytest_sergas.core.records import Outcome, Refusal
from tests.publishers.conftest import record

pytestmark = pytest.mark.unit

ENTRY = Entry("a.py::test_pay", "the bank is slow", "payments", "2026-08-31")


def on(today: str, *entries: Entry) -> Quarantine:
    return Quarantine(entries or (ENTRY,), today)


@pytest.mark.parametrize(
    ("today", "in_force"), [("2026-08-30", True), ("2026-08-31", True), ("2026-09-01", False), ("2027-01-01", False)]
)
def test_entry_is_in_force_until_the_end_of_its_day(today: str, in_force: bool) -> None:  # noqa: FBT001
    assert (on(today).of("a.py::test_pay") is ENTRY) is in_force


@pytest.mark.parametrize(
    ("node_id", "found"),
    [
        ("a.py::test_pay", True),
        ("a.py::test_pay[one]", True),
        ("a.py::test_pay[a.py::b]", True),
        ("a.py::test_pay_later", False),
        ("b.py::test_pay", False),
        ("a.py::TestShop::test_pay", False),
    ],
)
def test_name_without_parameters_stands_for_all_of_them(node_id: str, found: bool) -> None:  # noqa: FBT001
    assert (on("2026-01-01").of(node_id) is ENTRY) is found


def test_name_with_parameters_stands_for_itself_and_comes_first() -> None:
    one = Entry("a.py::test_pay[1]", "r", "o", "2026-08-31", Mode.SKIP)
    quarantine = on("2026-01-01", ENTRY, one)

    assert (quarantine.of("a.py::test_pay[1]"), quarantine.of("a.py::test_pay[2]")) == (one, ENTRY)


def test_one_that_has_expired_leaves_the_place_to_the_other() -> None:
    quarantine = on("2026-09-30", ENTRY, Entry("a.py::test_pay[1]", "r", "o", "2026-12-31"))

    assert quarantine.of("a.py::test_pay[2]") is None
    assert quarantine.of("a.py::test_pay[1]") is not None


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.PASSED, Outcome.SKIPPED, Outcome.TIMEOUT])
def test_test_in_quarantine_counts_as_such_and_keeps_what_it_was(outcome: Outcome) -> None:
    (test,) = on("2026-01-01").applied([record("a.py::test_pay", outcome)])

    assert (test.outcome, test.last.outcome) == (Outcome.QUARANTINED, outcome)


@given(st.text())
def test_other_tests_stay_as_they_are(name: str) -> None:
    test = record(f"b.py::{name}")

    assert on("2026-01-01").applied([test]) == (test,)


def test_test_of_an_expired_entry_stays_as_it_is() -> None:
    test = record("a.py::test_pay", Outcome.FAILED)

    assert on("2026-09-01").applied([test]) == (test,)


@pytest.mark.parametrize(
    ("collected", "expected"),
    [
        (["a.py::test_pay"], ()),
        (["a.py::test_pay[1]"], ()),
        (["a.py::other"], ("a.py::test_pay",)),
        ([], ("a.py::test_pay",)),
    ],
)
def test_entry_without_a_test_is_found(collected: list[str], expected: tuple[str, ...]) -> None:
    assert on("2026-01-01").unmatched(collected) == expected


def test_run_is_refused_for_what_has_expired() -> None:
    assert on("2026-09-01").refused(()) == (
        Refusal(
            "",
            "quarantine: a.py::test_pay was in quarantine until 2026-08-31, for payments to fix: the bank is slow; "
            "fix it, or give its entry in sergas-quarantine.toml another date",
        ),
    )


@pytest.mark.parametrize("today", ["2026-01-01", "2026-09-01"])
def test_run_is_refused_once_for_what_matches_no_test(today: str) -> None:
    assert on(today).refused(["a.py::test_pay"]) == (
        Refusal(
            "",
            "quarantine: a.py::test_pay matches no test; remove its entry from sergas-quarantine.toml, or mend the "
            "name",
        ),
    )


def test_run_is_not_refused_for_an_entry_that_is_in_force() -> None:
    assert on("2026-08-31").refused(()) == ()


@given(st.text(), st.text(), st.text())
def test_parameters_are_what_follows_the_first_bracket_of_the_name(file: str, name: str, parameters: str) -> None:
    file, name = file.replace(":", ""), name.replace("[", "")

    assert without_parameters(f"{file}::{name}[{parameters}]") == f"{file}::{name}"
