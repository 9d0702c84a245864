"""The text format: read strictly, written so that it reads the same, and written as OpenMetrics."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sergas.core.exposition import (
    Bounds,
    ExpositionError,
    GroupWriter,
    InconsistentError,
    TooMuchError,
    number,
    parse,
    render,
    series_of,
)
from pytest_sergas.core.metrics import Family, Sample

pytestmark = pytest.mark.unit

ESCAPES = r"allowed: \\, \" and \n"
END = "unexpected end: the last line must end with a newline"
LATE = "second TYPE line for metric name 'm', or TYPE reported after samples"
TYPES = "allowed: counter, gauge, histogram, summary, untyped"

LONG = "".join([f'a{index}="",' for index in range(600_000)])

NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,6}", fullmatch=True)
LABEL_NAMES = st.from_regex(r"(?!__name__)[a-zA-Z_][a-zA-Z0-9_]{0,4}", fullmatch=True)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
FLOATS = st.floats(allow_nan=False)
LABELS = st.dictionaries(LABEL_NAMES, TEXT, max_size=3).map(lambda labels: tuple(sorted(labels.items())))
PLAIN = st.builds(
    Family,
    NAMES,
    st.sampled_from(["gauge", "counter", "untyped"]),
    # Blanks in front of a text are not part of it, and without one there is no line.
    TEXT.filter(lambda text: text == text.lstrip(" \t")),
    st.lists(
        st.builds(Sample, LABELS, FLOATS, st.just(""), st.none() | st.integers(-(2**63), 2**63 - 1)),
        min_size=1,
        max_size=4,
    ).map(tuple),
)
PAGES = st.lists(PLAIN, max_size=4, unique_by=lambda family: family.name).map(tuple)

# Pieces of the format in any order: close enough to it that much is accepted.
NAMES_USED = ["m", "m_sum", "m_count", "m_bucket", "m{", "HELP ", "TYPE ", "histogram", "summary", "gauge"]
MARKS = ["{", "}", 'a="1"', 'le="1"', 'le="+Inf"', 'quantile="0.5"', ",", '"', "\\", "# ", "1", "-2.5e3", "NaN"]
LINES = ["# TYPE m histogram\n", "# TYPE m summary\n", "# TYPE m gauge\n", "m 1\n", 'm_bucket{le="2"} 1\n']
PIECES = st.lists(st.sampled_from([*NAMES_USED, *MARKS, *LINES, " ", "\t", "\n", "\r"]), max_size=14).map("".join)


def faults(text: str | bytes) -> ExpositionError:
    with pytest.raises(ExpositionError) as caught:
        parse(text if isinstance(text, bytes) else text.encode())
    return caught.value


# Reading


def test_families_keep_type_help_labels_and_order() -> None:
    page = b'# HELP b Some \\\\ help\\n.\n# TYPE b gauge\nb{y="1",x="\\"\\\\\\n"} 3.5\na 1 123\n'

    assert parse(page) == (
        Family("b", "gauge", "Some \\ help\n.", (Sample((("y", "1"), ("x", '"\\\n')), 3.5),)),
        Family("a", "untyped", "", (Sample((), 1.0, "", 123),)),
    )


def test_histogram_is_completed_and_ordered() -> None:
    page = b'# TYPE h histogram\nh_count{a="x",b="y"} 3.9\nh_bucket{le="0.5",b="y",a="x"} 2\nh_sum{b="y",a="x"} 4.5\n'
    labels = (("a", "x"), ("b", "y"))

    assert parse(page) == (
        Family(
            "h",
            "histogram",
            "",
            (
                Sample((*labels, ("le", "0.5")), 2.0, "_bucket"),
                Sample((*labels, ("le", "+Inf")), 3.0, "_bucket"),
                Sample(labels, 4.5, "_sum"),
                Sample(labels, 3.0, "_count"),
            ),
        ),
    )


def test_names_belong_to_a_summary_only_when_its_type_came_first() -> None:
    assert [family.name for family in parse(b"s_sum 1\n# TYPE s summary\ns_count 1\n")] == ["s_sum", "s"]


@pytest.mark.parametrize(
    ("text", "line", "column", "fault"),
    [
        pytest.param("m 1", 1, 4, END, id="no newline"),
        pytest.param("m 1\n# x", 2, 4, END, id="comment at the end"),
        pytest.param("m 1\r\n", 1, 3, "expected a number as value, got '1\\r'", id="CRLF"),
        pytest.param("\n\nm x\n", 3, 3, "expected a number as value, got 'x'", id="no number"),
        pytest.param("m\n", 1, 2, "expected a number as value, got ''", id="no value"),
        pytest.param('m{a="1"} 0x10\n', 1, 10, "expected a number as value, got '0x10'", id="hexadecimal"),
        pytest.param("m 1e999\n", 1, 3, "expected a number as value, got '1e999', which is out of range", id="range"),
        pytest.param("m 1 \n", 1, 5, "expected milliseconds as timestamp, got ''", id="blank at the end"),
        pytest.param("m 1 1.5\n", 1, 5, "expected milliseconds as timestamp, got '1.5'", id="timestamp"),
        pytest.param(
            f"m 1 {2**63}\n", 1, 5, f"expected milliseconds as timestamp, got '{2**63}'", id="large timestamp"
        ),
        pytest.param(
            f"m 1 {'1' * 5000}\n", 1, 5, f"expected milliseconds as timestamp, got '{'1' * 80}...'", id="long timestamp"
        ),
        pytest.param("m 1 2 3\n", 1, 6, "unexpected text after the timestamp: '3'", id="after the timestamp"),
        pytest.param('{"a.b"} 1\n', 1, 1, "invalid metric name '{\"a.b\"}'", id="quoted name"),
        pytest.param("m{\n", 1, 3, "invalid label name ''", id="open brace"),
        pytest.param("m{1} 1\n", 1, 3, "invalid label name '1'", id="label name"),
        pytest.param("m{a} 1\n", 1, 4, "expected '=' after label name 'a'", id="no ="),
        pytest.param("m{a=1} 1\n", 1, 5, "expected '\"' at the start of the value of label 'a'", id="no quote"),
        pytest.param('m{a="1} 1\n', 1, 10, "the value of label 'a' does not end on its line", id="open quote"),
        pytest.param('m{a="\\x"} 1\n', 1, 6, f"invalid escape sequence in label 'a'; {ESCAPES}", id="escape"),
        pytest.param('m{a="1" b="2"} 1\n', 1, 8, "expected ',' or '}' after the value of label 'a'", id="no comma"),
        pytest.param('m{a="1",a="2"} 1\n', 1, 9, "label 'a' stands twice", id="label twice"),
        pytest.param('m{__name__="n"} 1\n', 1, 3, "label name '__name__' is reserved", id="reserved"),
        pytest.param("# TYPE m info\n", 1, 10, f"unknown metric type 'info'; {TYPES}", id="type"),
        pytest.param("# TYPE m gauge \n", 1, 10, f"unknown metric type 'gauge '; {TYPES}", id="blank after the type"),
        pytest.param("m 1\n# TYPE m gauge\n", 2, 3, LATE, id="late"),
        pytest.param("# HELP m a\n# HELP m b\n", 2, 3, "second HELP line for metric name 'm'", id="help twice"),
        pytest.param("# HELP m \\x\n", 1, 10, r"invalid escape sequence; allowed: \\ and \n", id="escape in help"),
        pytest.param("# HELP  a.b\n", 1, 9, "invalid metric name 'a.b' in a comment", id="name after two blanks"),
        pytest.param("# TYPE a.b gauge\n", 1, 8, "invalid metric name 'a.b' in a comment", id="name in a comment"),
        pytest.param("# TYPE h histogram\nh 1\n", 2, 1, "the histogram 'h' has no sample 'h'", id="no such sample"),
        pytest.param(
            "# TYPE h histogram\nh_bucket 1\n", 2, 1, "expected a number in the label 'le', got nothing", id="no bound"
        ),
        pytest.param(
            '# TYPE s summary\ns{quantile="x"} 1\n',
            2,
            1,
            "expected a number in the label 'quantile', got 'x'",
            id="bound",
        ),
        pytest.param(
            '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="1.0"} 1\n',
            3,
            1,
            "le='1.0' of 'h' stands twice",
            id="same",
        ),
        pytest.param("# TYPE h histogram\nh_count NaN\n", 2, 9, "expected a count as value, got 'NaN'", id="no count"),
        pytest.param(b'a 1\nm{a="\xff"} 1\n', 2, 6, "invalid UTF-8: byte 0xff", id="invalid UTF-8"),
        pytest.param("m " + "x" * 200 + "\n", 1, 3, f"expected a number as value, got '{'x' * 80}...'", id="long"),
    ],
)
def test_fault_says_where_and_what(text: str | bytes, line: int, column: int, fault: str) -> None:
    error = faults(text)

    assert (error.line, error.column, error.text) == (line, column, fault)
    assert str(error) == f"line {line}, column {column}: {fault}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"m {'1' * 200_000}x\n", id="digits"),
        pytest.param(f"m{{{LONG}}} x\n", id="labels"),
        pytest.param(f"m{' ' * 200_000}x\n", id="blanks"),
    ],
)
def test_long_line_is_refused_in_a_time_that_grows_with_its_length(text: str) -> None:
    """With its square it would take minutes, which is beyond the timeout."""
    assert faults(text).line == 1


def test_long_line_is_read_in_a_time_that_grows_with_its_length() -> None:
    (family,) = parse(f"m{{{LONG}}} 1\n".encode())

    assert len(family.samples[0].labels) == 600_000


def test_lines_are_counted_over_a_long_page() -> None:
    assert faults("m 1\n" * 100_000 + "x\n").line == 100_001
    assert faults(b"m 1\n" * 100_000 + b"\n\xff\n").line == 100_002


BOUNDS = Bounds(series=3, labels=4, line=22)


@pytest.mark.parametrize(
    ("text", "what", "most"),
    [
        pytest.param("m 1\n" * 4, "series", 3, id="series"),
        pytest.param("".join(f"# TYPE {name} gauge\n" for name in "abcd"), "series", 3, id="names without series"),
        pytest.param('m{a="1",b="2"} 1\n' * 2 + 'm{a="1",b="3",c=""}1\n', "labels", 4, id="labels"),
        pytest.param('m{a="0123456789"} 1.5e0\n', "line", 22, id="label"),
        pytest.param("# HELP m 01234567890123\n", "line", 22, id="help"),
    ],
)
def test_no_more_is_read_than_the_bounds_allow(text: str, what: str, most: int) -> None:
    with pytest.raises(TooMuchError) as caught:
        parse(text.encode(), BOUNDS)

    assert (caught.value.what, caught.value.most) == (what, most)


def test_as_much_is_read_as_the_bounds_allow() -> None:
    page = b'm{a="1",b="2"} 1\nm{a="1",b="2"} 10\nm{a="1",b="3"} 1\n\n# HELP m 0123456789012\n'

    assert len(parse(page, BOUNDS)[0].samples) == 3


@given(st.binary(max_size=60) | PIECES.map(str.encode) | st.text(max_size=40).map(lambda text: f"{text}\n".encode()))
@example(b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_count 1\n')
@example(b'# TYPE s summary\ns{quantile="0.5"} NaN\n')
def test_any_bytes_are_refused_or_read_the_same_when_written(body: bytes) -> None:
    try:
        families = parse(body)
    except ExpositionError:
        return
    assert repr(parse(render(families))) == repr(families)  # as text, because NaN is not itself


@given(PAGES)
@example((Family("m", "gauge", "", (Sample((), -0.0), Sample((("a", "\n"),), 1e300))),))
def test_what_is_written_is_read_the_same(families: tuple[Family, ...]) -> None:
    assert parse(render(families)) == families


@given(st.floats())
def test_number_is_read_the_same(value: float) -> None:
    written = number(value)

    assert float(written) == value or (math.isnan(value) and written == "NaN")


# Writing


def test_page_has_a_header_for_each_family_with_samples() -> None:
    families = (
        Family("a", "gauge", 'back\\slash, "quote"\nline', (Sample((("x", 'a"b\\c\nd'),), 1.0),)),
        Family("b", "counter", "", (Sample((), math.inf), Sample((), 0.5, "", 12))),
        Family("c", "gauge", "nothing", ()),
    )

    assert render(families).decode() == (
        '# HELP a back\\\\slash, "quote"\\nline\n# TYPE a gauge\na{x="a\\"b\\\\c\\nd"} 1\n'
        "# TYPE b counter\nb +Inf\nb 0.5 12\n"
    )


# The part of a group


def test_labels_of_the_key_win_and_an_instance_is_added() -> None:
    family = Family("m", "gauge", "", (Sample((("z", "own"), ("job", "own")), 1.0),))

    text, series = GroupWriter({"job": "j", "a": "1"}).fragment(family)

    assert text == b'm{a="1",instance="",job="j",z="own"} 1\n'
    assert series == (b'{a="1",instance="",job="j",z="own"}',)


def test_histogram_is_one_series_whatever_its_buckets() -> None:
    (family,) = parse(b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_count 1\n')

    text, series = GroupWriter({"job": "j"}).fragment(family)

    assert text.decode() == (
        'h_bucket{instance="",job="j",le="1"} 1\nh_bucket{instance="",job="j",le="+Inf"} 1\n'
        'h_sum{instance="",job="j"} 0\nh_count{instance="",job="j"} 1\n'
    )
    assert series == (b'{instance="",job="j"}',)


def test_samples_that_the_key_makes_the_same_are_refused() -> None:
    family = Family("m", "gauge", "", (Sample((("a", "1"),), 1.0), Sample((("a", "2"),), 1.0)))

    with pytest.raises(InconsistentError) as caught:
        GroupWriter({"job": "j", "a": "3"}).fragment(family)

    assert str(caught.value) == 'the series m{a="3",instance="",job="j"} is there twice'


@given(PLAIN, st.dictionaries(LABEL_NAMES, TEXT, max_size=2))
@example(Family("m", "gauge", "", (Sample((("a", "x} 1 "),), 1.0),)), {"b": " \\ \n"})
def test_series_are_found_again_in_the_text(family: Family, key: dict[str, str]) -> None:
    try:
        text, series = GroupWriter({"job": "j", **key}).fragment(family)
    except InconsistentError:
        return
    assert tuple(series_of(family.name, family.type, text)) == series
