"""What makes two failures one cause, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.causes import VERSION, Frame, cause_of, grouped, mask
from pytest_sergas.core.records import Outcome
from tests.publishers.conftest import attempt, record

pytestmark = pytest.mark.unit

FRAME = Frame("shop/db.py", 7, "connect", "return socket.create_connection(address)")
REFUSED = "ConnectionError: no route to 10.0.0.1"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("no route to 10.0.0.1:5432", "no route to #", id="address of a host"),
        pytest.param("<Foo object at 0x7f12ab>", "<Foo object at #>", id="address in memory"),
        pytest.param("assert -3 == 2.5e-3", "assert # == #", id="numbers"),
        pytest.param("assert [1, 2, 3] == [1, 2]", "assert [#] == [#]", id="numbers in a row"),
        pytest.param("order 3f2b1a4c-deff-abcd-abcd-abcdefabcdef gone", "order # gone", id="uuid"),
        pytest.param("user_42 at 2026-12-01 06:13:01.5", "# at #", id="ids and times"),
        pytest.param("no file /tmp/pytest-1/a_b.txt:33 there", "no file # there", id="path"),
        pytest.param(r"C:\work\a.txt or tests/a/b.py", "# or #", id="paths of two kinds"),
        pytest.param("(see https://example.com/a?b=1)", "(see #)", id="url"),
        pytest.param("KeyError: 'a b'", "KeyError: #", id="quoted"),
        pytest.param("the \"c 'd' e\" and `f g`", "the # and #", id="quoted in three ways"),
        pytest.param("it can't be, isn't it", "it can't be, isn't it", id="apostrophes quote nothing"),
        pytest.param("two  words\n\tand a line", "two words and a line", id="space"),
    ],
)
def test_what_changes_from_failure_to_failure_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    ("message", "exception"),
    [
        (REFUSED, "ConnectionError"),
        ("json.decoder.JSONDecodeError: Expecting value: line 1", "json.decoder.JSONDecodeError"),
        ("test_a.test_b.<locals>.Boom: text", "test_a.test_b.<locals>.Boom"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("assert 1 == 2\n +  where 1 = f()", "AssertionError"),
        ("AssertionError: the reason\nassert 1 == 2", "AssertionError"),
        ("ValueError(1) [single exception in ExceptionGroup]", "ValueError"),
        ("  File \"<string>\", line 1\n    (\n    ^\nSyntaxError: '(' was never closed", "SyntaxError"),
        ("max_duration = 0.1, used 3 s", ""),
    ],
)
def test_type_of_the_exception_is_read_from_the_message(message: str, exception: str) -> None:
    assert cause_of("call", message, FRAME).exception == exception


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        pytest.param("ConnectionError: no route to 10.9.9.9", FRAME, id="another address"),
        pytest.param(REFUSED, FRAME._replace(line=99), id="the line has moved"),
    ],
)
def test_one_cause_has_one_fingerprint(message: str, frame: Frame) -> None:
    known = cause_of("setup", REFUSED, FRAME).fingerprint

    assert cause_of("setup", message, frame).fingerprint == known
    assert known.startswith(f"{VERSION}:")


def test_fingerprint_of_a_version_never_changes() -> None:
    assert cause_of("setup", REFUSED, FRAME).fingerprint == "1:4d634e66ff9e8fd6"


@pytest.mark.parametrize(
    ("phase", "message", "frame"),
    [
        pytest.param("call", REFUSED, FRAME, id="phase"),
        pytest.param("setup", REFUSED.replace("Connection", "Timeout"), FRAME, id="type"),
        pytest.param("setup", f"shop.{REFUSED}", FRAME, id="type of the same name in another module"),
        pytest.param("setup", REFUSED.replace("route", "way"), FRAME, id="message"),
        pytest.param("setup", REFUSED, FRAME._replace(file="shop/a.py"), id="file"),
        pytest.param("setup", REFUSED, FRAME._replace(function="close"), id="function"),
        pytest.param("setup", REFUSED, FRAME._replace(source="raise error"), id="another line of the function"),
        pytest.param("setup", REFUSED, Frame("shop/db.py", 7), id="a frame of which less is known"),
    ],
)
def test_other_phases_types_messages_and_frames_are_other_causes(phase: str, message: str, frame: Frame) -> None:
    assert cause_of(phase, message, frame).fingerprint != cause_of("setup", REFUSED, FRAME).fingerprint


TEXTS = st.text(max_size=40)
FRAMES = st.builds(Frame, TEXTS, st.none() | st.integers(1, 9), TEXTS, TEXTS)


@given(st.text(alphabet="a1 '\"`/\\:.-_é\n", max_size=60), FRAMES, FRAMES)
def test_any_text_has_a_cause_and_different_frames_never_share_one(text: str, one: Frame, other: Frame) -> None:
    first, second = (cause_of("call", text, frame).fingerprint for frame in (one, other))

    same = (one.file, one.function, one.source) == (other.file, other.function, other.source)
    by_line = not one.source and not one.function and one.line != other.line
    assert (first == second) is (same and not by_line)


def test_tests_are_grouped_by_cause_and_those_without_one_stay_alone() -> None:
    refused, other = cause_of("setup", REFUSED, FRAME), cause_of("call", "KeyError: 1", FRAME)
    causes = [refused, other, None, refused, None]
    tests = [record(f"t.py::t{number}", attempt(Outcome.FAILED, cause=cause)) for number, cause in enumerate(causes)]

    assert [(group.cause, [test.name for test in group.tests]) for group in grouped(tests)] == [
        (refused, ["t0", "t3"]),
        (other, ["t1"]),
        (None, ["t2"]),
        (None, ["t4"]),
    ]
