"""Templates of labels and annotations: what they expand to, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.printf import shown_float
from pytest_sergas.core.templates import LIMIT, TemplateError, Values, compile_template

pytestmark = pytest.mark.unit

LABELS = (("__name__", "tests"), ("type", "unit"))


def expand(source: str, value: float = 3.0) -> str:
    return compile_template(source).expand(Values(LABELS, value, "https://ci.example.org"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("plain { text }", "plain { text }", id="text"),
        pytest.param("{{ $value }} of {{ $labels.type }}", "3 of unit", id="variables"),
        pytest.param("{{ .Value }} of {{ .Labels.type }}", "3 of unit", id="fields"),
        pytest.param('{{ index $labels "type" }}', "unit", id="index"),
        pytest.param("<{{ $labels.missing }}>", "<>", id="a label that is not there"),
        pytest.param("<{{ $externalLabels.a }}>", "<>", id="external labels"),
        pytest.param("{{ $externalURL }}/", "https://ci.example.org/", id="external URL"),
        pytest.param("{{ $labels }}", "map[__name__:tests type:unit]", id="all labels"),
        pytest.param("a {{- $value -}} b", "a3b", id="trimmed"),
        pytest.param("a {{/* a comment */}}b", "a b", id="comment"),
        pytest.param("a {{- /* a comment */ -}} b", "ab", id="trimming comment"),
        pytest.param('{{ "a\\"b\\n" }}{{ `c\\d` }}', 'a"b\nc\\d', id="texts"),
        pytest.param('{{ printf "%v|%s|%d" $value "x" 7 }}', "3|x|7", id="printf"),
        pytest.param('{{ $value | printf "%.2f%%" }}', "3.00%", id="pipe"),
        pytest.param(
            '{{ printf "%5.1f|%-6.1f|%+.0f|%06.1f|%5s|%t" $value 2.5 1.0 2.5 "a" true }}',
            "  3.0|2.5   |+1|0002.5|    a|true",
            id="widths",
        ),
        pytest.param(
            '{{ printf "%g %.3g %e" 1234567.0 1234567.0 2.5 }}', "1.234567e+06 1.23e+06 2.500000e+00", id="g, e"
        ),
        pytest.param('{{ toUpper (printf "%v" $value | printf "%sx") }}', "3X", id="parentheses"),
        pytest.param("{{ if gt $value 2.0 }}many{{ else }}few{{ end }}", "many", id="if"),
        pytest.param("{{ if gt $value 5.0 }}many{{ else }}few{{ end }}", "few", id="else"),
        pytest.param("{{ if gt $value 5.0 }}a{{ else if ge $value 3.0 }}b{{ else }}c{{ end }}!", "b!", id="else if"),
        pytest.param('{{ if and (eq $labels.type "unit" "e2e") (not false) }}x{{ end }}', "x", id="and, eq, not"),
        pytest.param('{{ or "" "b" }}{{ and "a" "" }}', "b", id="or, and"),
        pytest.param("{{ ne 1 2 }} {{ lt 1 2 }} {{ le 2.0 1.0 }}", "true true false", id="comparisons"),
        pytest.param('{{ len $labels }} {{ len "é" }}', "2 2", id="len"),
        pytest.param('{{ title "don\'t stop" }} {{ toLower "AB" }}', "Don'T Stop ab", id="letters"),
        pytest.param('{{ match "^u.*t$" $labels.type }}', "true", id="match"),
        pytest.param('{{ reReplaceAll "(?P<n>\\\\d+)-(x)" "$2${n}$$$3" "a12-x" }}', "ax12$", id="reReplaceAll"),
        pytest.param(
            "{{ $value | humanize }} {{ humanize 1234567.0 }} {{ humanize 0.00012 }}", "3 1.235M 120u", id="humanize"
        ),
        pytest.param("{{ humanize1024 1234567.0 }} {{ humanize1024 0.5 }}", "1.177Mi 0.5", id="humanize1024"),
        pytest.param(
            '{{ humanizeDuration 93784.0 }} {{ humanizeDuration "3661" }} {{ humanizeDuration 61.0 }}',
            "1d 2h 3m 4s 1h 1m 1s 1m 1s",
            id="humanizeDuration",
        ),
        pytest.param(
            "{{ humanizeDuration -1.5 }} {{ humanizeDuration 0.015 }} {{ humanizeDuration 0.0 }}",
            "-1.5s 15ms 0s",
            id="short durations",
        ),
        pytest.param("{{ humanizePercentage 0.2468 }}", "24.68%", id="humanizePercentage"),
        pytest.param("{{ humanizeTimestamp 1582934399.5 }}", "2020-02-28 23:59:59.5 +0000 UTC", id="humanizeTimestamp"),
        pytest.param("{{ humanizeTimestamp -1.0 }}", "1969-12-31 23:59:59 +0000 UTC", id="before the epoch"),
    ],
)
def test_expands(source: str, expected: str) -> None:
    assert expand(source) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0.0, "0", id="zero"),
        pytest.param(-0.0, "-0", id="negative zero"),
        pytest.param(100_000.0, "100000", id="below a million"),
        pytest.param(999_999.5, "999999.5", id="just below a million"),
        pytest.param(1_000_000.0, "1e+06", id="a million"),
        pytest.param(1_234_567.5, "1.2345675e+06", id="above a million"),
        pytest.param(0.0001, "0.0001", id="small"),
        pytest.param(0.00001, "1e-05", id="smaller"),
        pytest.param(-2.5, "-2.5", id="negative"),
        pytest.param(1e300, "1e+300", id="giant"),
        pytest.param(5.960464477539063e-08, "5.960464477539063e-08", id="between two texts of as many digits"),
        pytest.param(math.inf, "+Inf", id="infinite"),
        pytest.param(-math.inf, "-Inf", id="negative infinite"),
        pytest.param(math.nan, "NaN", id="no number"),
    ],
)
def test_numbers_are_written_as_go_does(value: float, expected: str) -> None:
    assert expand("{{ $value }}", value) == expected


def test_what_is_no_number_is_greater_than_everything_as_in_go() -> None:
    assert expand("{{ gt $value 1.0 }} {{ ge $value 1.0 }} {{ lt $value 1.0 }} {{ le $value 1.0 }}", math.nan) == (
        "true true false false"
    )


@given(st.floats(allow_nan=False))
def test_a_written_number_is_read_as_the_same(value: float) -> None:
    assert float(shown_float(value)) == value


@given(st.floats(), st.sampled_from(["", "1024", "Duration", "Percentage", "Timestamp"]))
def test_every_number_can_be_shown_to_people(value: float, kind: str) -> None:
    assert expand(f"{{{{ humanize{kind} $value }}}}", value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param('{{ humanize "many" }}', "'many' is not a number", id="no number"),
        pytest.param("{{ humanize true }}", "true is not a number", id="truth value"),
        pytest.param("{{ toUpper $value }}", "3 is not a text; printf makes one of it", id="no text"),
        pytest.param(
            "{{ gt $value 10 }}", "a number and a whole number cannot be compared; write 10.0 for 10", id="whole number"
        ),
        pytest.param("{{ eq $labels $labels }}", "labels and labels cannot be compared", id="labels"),
        pytest.param('{{ eq $value "3" }}', "a number and a text cannot be compared", id="number and text"),
        pytest.param('{{ index $value "a" }}', "index: 3 has no keys", id="index of a number"),
        pytest.param("{{ len $value }}", "len: 3 has no length", id="length of a number"),
        pytest.param(
            '{{ match "(" "a" }}', "not a regular expression of RE2: '(': missing ): (", id="regular expression"
        ),
        pytest.param(
            "{{ humanizeTimestamp 1e20 }}", "1e+20 cannot be represented as a nanoseconds timestamp", id="far future"
        ),
    ],
)
def test_what_goes_wrong_becomes_the_text(source: str, reason: str) -> None:
    assert expand(f"before {source} after") == f"<error expanding template: {reason}>"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("{{ $value", "'{{' has no '}}'", id="open"),
        pytest.param("{{ }}", "{{ }} is empty", id="empty"),
        pytest.param(
            "{{ $user }}",
            "'$user' is not known; known: $labels, .Labels, $value, .Value, $externalLabels, "
            ".ExternalLabels, $externalURL, .ExternalURL",
            id="variable",
        ),
        pytest.param("{{ $value.x }}", "'$value.x' does not exist; labels are $labels.NAME", id="field of a number"),
        pytest.param(
            "{{ $labels.a.b }}", "'$labels.a.b' does not exist; labels are $labels.NAME", id="field of a text"
        ),
        pytest.param(
            "{{ range $labels }}",
            "the function 'range' is not supported; supported: and, eq, ge, gt, humanize, "
            "humanize1024, humanizeDuration, humanizePercentage, humanizeTimestamp, index, le, len, lt, match, ne, "
            "not, or, printf, reReplaceAll, title, toLower, toUpper",
            id="range",
        ),
        pytest.param("{{ humanize }}", "humanize takes 1 operand, not 0", id="no operand"),
        pytest.param('{{ match "a" }}', "match takes 2 operands, not 1", id="too few operands"),
        pytest.param("{{ eq 1 }}", "eq takes at least 2 operands, not 1", id="at least"),
        pytest.param(
            "{{ humanize humanize 1 }}",
            "humanize with its operands has to stand in parentheses here",
            id="function as operand",
        ),
        pytest.param("{{ humanize (1 }}", "{{ humanize (1 }}: ')' is missing", id="parenthesis"),
        pytest.param("{{ 1 | }}", "{{ 1 | }}: a function has to stand after '|'", id="nothing after the pipe"),
        pytest.param("{{ 1 | 2 }}", "{{ 1 | 2 }}: a function has to stand after '|'", id="number after the pipe"),
        pytest.param("{{ 1 2 }}", "{{ 1 2 }} is not understood at '2'", id="two operands"),
        pytest.param("{{ $x := 1 }}", "{{ $x := 1 }} is not understood at ':= 1'", id="assignment"),
        pytest.param(
            '{{ "\\x41" }}', '\'\\\\x\' in "\\x41" is not supported; supported: \\n \\t \\r \\" \\\\', id="escape"
        ),
        pytest.param("{{ if true }}", "{{ if true }} has no {{ end }}", id="if without end"),
        pytest.param("{{ end }}", "{{ end }} has no {{ if }}", id="end without if"),
        pytest.param(
            "{{ if true }}{{ else unless }}{{ end }}",
            "{{ else unless }} is not understood; allowed: else, else if",
            id="else with more",
        ),
        pytest.param("{{ if true }}" * 60, "has more than 50 blocks in each other", id="blocks"),
        pytest.param("{{ " + "(" * 60 + " }}", "has more than 50 parentheses in each other", id="parentheses"),
    ],
)
def test_refused(source: str, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(source)

    assert str(caught.value) == reason


def test_a_text_has_a_bound() -> None:
    long = compile_template("{{ $labels.a }}").expand(Values((("a", "x" * 2 * LIMIT),), 0.0))

    assert long == "x" * LIMIT


@pytest.mark.parametrize(("source", "is_constant"), [("error", True), ("{{ $value }}", False)], ids=["text", "action"])
def test_a_text_without_actions_is_constant(source: str, *, is_constant: bool) -> None:
    assert compile_template(source).is_constant is is_constant


@given(st.text(alphabet='{}-$.|()"`ifelsend 1labels', max_size=60))
def test_any_text_is_taken_or_refused(source: str) -> None:
    try:
        template = compile_template(source)
    except TemplateError:
        return
    assert isinstance(template.expand(Values(LABELS, 1.0)), str)
