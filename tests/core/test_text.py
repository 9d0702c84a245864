"""Text from outside: bounded, printable, without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.text import clean, columns, keep_end, keep_start, one_line, redact_url, show_value

pytestmark = pytest.mark.unit

# Everything that Python can hold in a str, lone surrogates included.
ANY_TEXT = st.text(st.characters())


@given(ANY_TEXT, st.integers(0, 200))
def test_clean_text_is_utf8_and_within_its_limit(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned


def test_clean_text_that_fits_is_left_alone() -> None:
    assert clean("a\nb\té", 10) == "a\nb\té"


def test_clean_says_what_it_cut_and_keeps_the_end() -> None:
    cleaned = clean("a" * 100 + "ValueError", 60)

    assert cleaned.startswith("aaa")
    assert "[... 50 characters cut ...]" in cleaned
    assert cleaned.endswith("ValueError")


def test_clean_writes_undecodable_bytes_in_words() -> None:
    assert clean(b"caf\xe9".decode("utf-8", "surrogateescape"), 20) == "caf\\udce9"


@given(ANY_TEXT, st.integers(3, 200))
def test_one_line_has_no_line_end_and_no_control_character(text: str, limit: int) -> None:
    flat = one_line(text, limit)

    assert len(flat) <= limit
    assert len(flat.splitlines()) <= 1
    assert not any(ord(char) < 32 or ord(char) == 127 for char in flat)


def test_one_line_drops_what_turns_the_direction_of_writing() -> None:
    assert one_line("a\u202eb\u2066c", 20) == "a b c"


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert columns("ab") == 2
    assert columns("試験") == 4
    assert columns("🙂") == 2
    assert columns("e\u0301") == 1


@given(ANY_TEXT, st.integers(1, 100))
def test_kept_end_never_takes_more_than_its_columns(text: str, width: int) -> None:
    assert columns(keep_end(text, width)) <= width


@given(ANY_TEXT, st.integers(1, 100))
def test_kept_start_never_takes_more_than_its_columns(text: str, width: int) -> None:
    assert columns(keep_start(text, width)) <= width


def test_kept_end_of_a_node_id_names_the_test() -> None:
    assert keep_end("tests/integration/test_shop.py::TestCart::test_pay", 20) == "...estCart::test_pay"


def test_text_that_fits_keeps_its_beginning() -> None:
    assert keep_end("test_a.py::test_b", 17) == "test_a.py::test_b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("http://gateway:9091/x", "http://gateway:9091/x", id="nothing to hide"),
        pytest.param("http://me:pw@gateway:9091", "http://***@gateway:9091", id="user and password"),
        pytest.param("me:pw@gateway:9091", "***@gateway:9091", id="without a scheme"),
        pytest.param(
            "https://me:p/w?x#y@gateway", "https://***@gateway", id="password with the characters of an address"
        ),
        pytest.param("https://me:p@w@gateway", "https://***@gateway", id="password with an at sign"),
        pytest.param("https://me:p'w x@gateway", "https://***@gateway", id="password with quote and space"),
    ],
)
def test_redacted_url_has_no_user_and_no_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(st.text(min_size=1), st.sampled_from(["", "http://", "https://"]))
def test_redacted_url_never_holds_the_password(password: str, scheme: str) -> None:
    assert redact_url(f"{scheme}user:<{password}>@host") == f"{scheme}***@host"


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        pytest.param("timeout", -1, "-1", id="number"),
        pytest.param("push_token", "abc", "'***'", id="secret by its key"),
        pytest.param("push_token_file", "/run/token", "'/run/token'", id="the file of a secret is none"),
        pytest.param("push", "http://a:b@c", "'http://***@c'", id="address"),
        pytest.param(
            "x", ["http://a:b@c", "http://d:e@f"], "['http://***@c', 'http://***@f']", id="every address of a list"
        ),
        pytest.param("x", {"token": "abc", "url": "a:b@c"}, "{'token': '***', 'url': '***@c'}", id="table"),
        pytest.param("x", "a\nb", "'a\\nb'", id="line end"),
        pytest.param("x", "a" * 200, f"'{'a' * 76}...", id="long"),
    ],
)
def test_value_in_an_error_is_bounded_and_without_secrets(key: str, value: object, shown: str) -> None:
    assert show_value(key, value) == shown
