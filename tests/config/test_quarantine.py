"""``sergas-quarantine.toml``: what is read, and what is said about what cannot be used."""

from __future__ import annotations

import pytest

from pytest_sergas.config.quarantine import read
from pytest_sergas.core.quarantine import Entry, Mode
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit

FIRST = {"test": '"a.py::b"', "reason": '"r"', "owner": '"o"', "until": "2026-08-31"}
TEST = "allowed: a test as pytest names it, such as tests/test_shop.py::test_pay"
DATE = "allowed: a date, such as 2026-08-31"


def table(**changed: str | None) -> str:
    values = {**FIRST, **changed}
    return "[[quarantine]]\n" + "".join(f"{name} = {value}\n" for name, value in values.items() if value is not None)


@pytest.mark.parametrize("until", ["2026-08-31", '"2026-08-31"'])
def test_entry_is_read(until: str) -> None:
    assert read(table(until=until, mode='"skip"')) == (Entry("a.py::b", "r", "o", "2026-08-31", Mode.SKIP),)


def test_test_runs_unless_the_entry_says_otherwise() -> None:
    assert [entry.mode for entry in read(table())] == [Mode.RUN]


def test_file_without_entries_has_none() -> None:
    assert read("") == ()


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param(table(until='"2026-02-30"'), [f"[[quarantine]] 1: until = '2026-02-30': {DATE}"], id="no day"),
        pytest.param(table(until='"soon"'), [f"[[quarantine]] 1: until = 'soon': {DATE}"], id="no date"),
        pytest.param(
            table(until="2026-08-31T10:00:00"),
            [f"[[quarantine]] 1: until = datetime.datetime(2026, 8, 31, 10, 0): {DATE}"],
            id="a moment",
        ),
        pytest.param(table(until="20260831"), [f"[[quarantine]] 1: until = 20260831: {DATE}"], id="a number"),
        pytest.param(
            table(until=None),
            ["[[quarantine]] 1: until is missing; needed are test, reason, owner, until"],
            id="no date at all",
        ),
        pytest.param(
            table(owner='""'),
            ["[[quarantine]] 1: owner = '': allowed: text on one line, not empty, of at most 4096 characters"],
            id="nobody",
        ),
        pytest.param(
            table(test='"a.py"'),
            [f"[[quarantine]] 1: test = 'a.py': {TEST}"],
            id="a file",
        ),
        pytest.param(
            table(mode='"hide"'), ["[[quarantine]] 1: mode = 'hide': allowed: 'run', 'skip'"], id="unknown mode"
        ),
        pytest.param(
            table(ownr='"x"'), ["[[quarantine]] 1: ownr: unknown key; did you mean 'owner'?"], id="unknown key"
        ),
        pytest.param(
            table(xyz='"x"'),
            ["[[quarantine]] 1: xyz: unknown key; allowed: test, reason, owner, until, mode"],
            id="strange key",
        ),
        pytest.param(
            table() + table(owner='"p"'),
            ["[[quarantine]] 2: test = 'a.py::b': stands in [[quarantine]] 1 already; keep one of the two"],
            id="twice the same test",
        ),
        pytest.param("quarantine = 1", ["quarantine: allowed: tables, [[quarantine]]"], id="no tables"),
        pytest.param("[other]", ["other: unknown; allowed: [[quarantine]]"], id="another table"),
        pytest.param(
            table(until="1", owner="2"),
            [
                "[[quarantine]] 1: owner = 2: allowed: text on one line, not empty, of at most 4096 characters",
                f"[[quarantine]] 1: until = 1: {DATE}",
            ],
            id="all at once",
        ),
        pytest.param(
            "[[quarantine]",
            ["is not TOML: Expected ']]' at the end of an array declaration (at line 1, column 13)"],
            id="no TOML",
        ),
    ],
)
def test_fault_names_entry_key_value_and_what_is_allowed(text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text)

    assert list(caught.value.faults) == [f"sergas-quarantine.toml: {fault}" for fault in faults]
