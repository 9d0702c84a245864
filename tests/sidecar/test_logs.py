"""What is logged: one line for each record, without secrets."""

from __future__ import annotations

import json
import logging

import pytest

from pytest_sergas.sidecar.logs import Json, Plain, redact

pytestmark = pytest.mark.unit


def record(text: str, *, exc: BaseException | None = None) -> logging.LogRecord:
    info = (type(exc), exc, None) if exc else None
    made = logging.LogRecord("pytest_sergas.x", logging.WARNING, __file__, 1, text, (), info)
    made.created, made.msecs = 1_769_860_800.25, 250.0
    return made


def test_plain_line() -> None:
    assert Plain().format(record("all well")) == "2026-01-31T12:00:00.250Z WARNING pytest_sergas.x: all well"


def test_json_line() -> None:
    assert json.loads(Json().format(record("all well"))) == {
        "time": "2026-01-31T12:00:00.250Z",
        "level": "WARNING",
        "logger": "pytest_sergas.x",
        "message": "all well",
    }


@pytest.mark.parametrize("formatter", [Plain(), Json()], ids=["plain", "json"])
def test_text_from_outside_begins_no_line_and_reaches_no_terminal(formatter: logging.Formatter) -> None:
    line = formatter.format(record("a\nERROR forged\r\x1b[31m\u2028\u202e\x85", exc=ValueError("x\ny")))

    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_plain_text_can_be_told_from_what_was_escaped() -> None:
    assert Plain().format(record("a\nb")) != Plain().format(record(r"a\nb"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET http://ci:hunter2@gateway/x", "GET http://***@gateway/x"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer ***"),
        ("'authorization': 'Basic aHVudGVyMg=='", "'authorization': 'Basic ***'"),
        ("a@b", "a@b"),
    ],
)
def test_credentials_are_not_logged(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_credentials_in_a_traceback_are_not_logged() -> None:
    line = Plain().format(record("failed", exc=ValueError("http://ci:hunter2@gateway")))

    assert "ValueError: http://***@gateway" in line
