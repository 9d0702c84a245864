"""Expressions and series for hypothesis: everything that is supported, in any nesting."""

from __future__ import annotations

from hypothesis import strategies as st

_INSTANTS = st.sampled_from(
    [
        "x",
        "y",
        'x{a="1"}',
        'y{a!="1"}',
        'x{b=~"1|2"}',
        'y{b!~"1.*"}',
        'x{a=""}',
        '{__name__=~"x|y"}',
        "x offset 90s",
        "y offset -1m",
        "missing",
        "x_bucket",
    ]
)
RANGES = (
    "x[4m]",
    "x[10m]",
    "x[185s]",
    'y{a="1"}[5m]',
    "y[100s]",
    "y[10m]",
    "x[150s] offset 1m",
    "y[45s]",
    '{__name__=~"x|y"}[3m]',
    "missing[5m]",
)
_RANGES = st.sampled_from(RANGES)
_NUMBERS = st.sampled_from(["0", "1", "2.5", "-3", "1e3", "Inf", "NaN", "0.5"])
RANGE_FUNCTIONS = (
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
    "absent_over_time",
)
_RANGE_FUNCTIONS = st.sampled_from(RANGE_FUNCTIONS)
_ARITHMETIC = st.sampled_from(["+", "-", "*", "/", "%", "^"])
_COMPARISONS = st.sampled_from(["==", "!=", ">", "<", ">=", "<="])
_ON = st.sampled_from(["", "on(a)", "on(a,b)", "ignoring(b)", "ignoring(le)", "on()"])
_MATCHING = st.sampled_from(
    [
        "",
        "on(a)",
        "on(a, b)",
        "on()",
        "ignoring(b)",
        "ignoring(le)",
        "on(a) group_left()",
        "on(a) group_right()",
        "on(a) group_left(b)",
        "on(b) group_right(a)",
        "on() group_left(a)",
        "ignoring(b) group_left(b)",
        "ignoring(a, b) group_right(a)",
    ]
)
_GROUPING = st.sampled_from(["", "by (a)", "by (a, b)", "without (a)", "by ()", "without ()", "by (__name__)"])

_VALUES = st.sampled_from(["0", "1", "2", "3", "7.5", "12", "1000", "-2", "0.25", "1", "2", "NaN", "Inf", "_", "stale"])


_VALUE_FUNCTIONS = st.sampled_from(
    ["abs", "absent", "timestamp", "round", "ceil", "floor", "exp", "ln", "log2", "log10", "sgn", "sqrt"]
)
_AGGREGATIONS = st.sampled_from(["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"])
_COUNTS = st.sampled_from(["0", "-1", "99", "1e3"])
_LABELS = st.sampled_from(["a", "b", "c", "__name__"])
_REPLACEMENTS = st.sampled_from(["", "$1", "n_$1", "${1}x", "$1x", "$$", "$9"])
_PATTERNS = st.sampled_from(["(.*)", "1", "", "(x|1).*", "."])


def _scalar(vector: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _NUMBERS,
        st.just("time()"),
        st.builds("scalar({})".format, vector),
        st.builds("({} {} {})".format, _NUMBERS, _ARITHMETIC, _NUMBERS),
        st.builds("({} {} bool {})".format, _NUMBERS, _COMPARISONS, _NUMBERS),
    )


def _over_range() -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}({})".format, _RANGE_FUNCTIONS, _RANGES),
        st.builds("quantile_over_time({}, {})".format, _NUMBERS, _RANGES),
        st.builds("predict_linear({}, {})".format, _RANGES, _NUMBERS),
    )


def _compound(vector: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    scalar = _scalar(vector)
    return st.one_of(
        st.builds("({} {} {} {})".format, vector, _ARITHMETIC, _MATCHING, vector),
        st.builds("({} {} {} {})".format, vector, _COMPARISONS, _MATCHING, vector),
        st.builds("({} {} bool {} {})".format, vector, _COMPARISONS, _MATCHING, vector),
        st.builds("({} {} {} {})".format, vector, st.sampled_from(["and", "or", "unless"]), _ON, vector),
        st.builds("({} {} {})".format, vector, _ARITHMETIC, scalar),
        st.builds("({} {} {})".format, scalar, _ARITHMETIC, vector),
        st.builds("({} {} {})".format, vector, _COMPARISONS, scalar),
        st.builds("({} {} {})".format, scalar, _COMPARISONS, vector),
        st.builds("({} {} bool {})".format, vector, _COMPARISONS, scalar),
        st.builds("{} {} ({})".format, _AGGREGATIONS, _GROUPING, vector),
        st.builds("{}({})".format, _VALUE_FUNCTIONS, vector),
        # Which of several equal elements are chosen, Prometheus leaves open: all or none are.
        st.builds("{} {} ({}, {})".format, st.sampled_from(["topk", "bottomk"]), _GROUPING, _COUNTS, vector),
        st.builds("quantile {} ({}, {})".format, _GROUPING, scalar, vector),
        # Of samples alone: the last digit of a result would be another label.
        st.builds('count_values {} ("{}", {})'.format, _GROUPING, st.sampled_from("abv"), _INSTANTS),
        st.builds(
            'label_replace({}, "{}", "{}", "{}", "{}")'.format, vector, _LABELS, _REPLACEMENTS, _LABELS, _PATTERNS
        ),
        st.builds('label_join({}, "{}", "-", "{}", "b")'.format, vector, _LABELS, _LABELS),
        st.builds("-{}".format, vector),
        st.builds("round({}, {})".format, vector, scalar),
        st.builds("clamp({}, {}, {})".format, vector, scalar, scalar),
        st.builds("clamp_min({}, {})".format, vector, scalar),
        st.builds("clamp_max({}, {})".format, vector, scalar),
        st.builds("vector({})".format, scalar),
        st.builds("histogram_quantile({}, {})".format, scalar, vector),
    )


VECTORS = st.recursive(st.one_of(_INSTANTS, _over_range()), _compound, max_leaves=4)


# What promql-parser takes and Prometheus 2.42 does not, or looks as if.
ODD = st.lists(
    st.sampled_from(
        [
            *("x", "y", "1", "1e400", "0x1f", "Inf", "1_000", '"text"', '{"x"}', 'x{"a"="b"}', 'x{a="b" or b="c"}'),
            *(
                "[5m]",
                "[5]",
                "[1h30m]",
                "[5m:1m]",
                "[300y]",
                " offset 5m",
                " offset 30",
                " offset -1m",
                " @ 1",
                " @ start()",
            ),
            *(
                "+",
                "-",
                "*",
                "^",
                ">",
                "> bool ",
                "==",
                " and ",
                " or ",
                " unless ",
                " atan2 ",
                " on(a) ",
                " group_left ",
            ),
            *(
                "(",
                ")",
                "sum",
                "rate",
                "abs",
                "topk",
                "sort",
                "info",
                "limitk",
                " by (a) ",
                " without (a) ",
                ",",
                "# c\n",
            ),
            *(
                'x{a=~"["}',
                'x{a=~"(?i)b|\\\\d"}',
                'x{a=~"a{1001}"}',
                'x{offset="5"}',
                "time()",
                "fill(0)",
                " ignoring() ",
            ),
        ]
    ),
    min_size=1,
    max_size=6,
).map("".join)

# Every pair of labels that matches another one, one of several, and none.
_SERIES = (
    'x{a="1",b="1"}',
    'x{a="1",b="2"}',
    'x{a="2"}',
    'y{a="1",b="1"}',
    'y{a="2"}',
    'y{b="13"}',
)


@st.composite
def series(draw: st.DrawFn) -> dict[str, str]:
    """Return name and labels → values, as in a test file: some of the series, with gaps and ends."""
    found = {
        one: " ".join(draw(st.lists(_VALUES, min_size=21, max_size=21)))
        for one in draw(st.lists(st.sampled_from(_SERIES), min_size=2, unique=True))
    }
    for bound in ("1", "2.5", "+Inf"):
        step = draw(st.integers(0, 9))
        found[f'x_bucket{{le="{bound}"}}'] = f"{step}+{step}x20"
    return found
