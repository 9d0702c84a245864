"""Series as test files write them: ``sergas_tests{type="unit"}`` with the values ``0 1+2x3 _ stale``.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series

item := "_" [ "x" count ]               no sample, count times
      | "stale"                         the series ends here
      | number [ "x" count ]            the number, and count times more
      | number step "x" count           the number, and count times more, each a step further
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_sergas.core.promql import compile_expression
from pytest_sergas.core.series import NAME, Labels, Series, canonical

STALE = "stale"
SAMPLES_LIMIT = 1_000_000

_SERIES = re.compile(r"\s*(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?(?:\{.*\})?\s*", re.ASCII | re.DOTALL)
_NUMBER = r"(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|nan)"
_ITEM = re.compile(
    rf"(?P<blank>_)(?:x(?P<blanks>\d{{1,7}}))?|(?P<stale>{STALE})"
    rf"|(?P<value>[+-]?{_NUMBER})(?:(?P<step>[+-]{_NUMBER})?x(?P<count>\d{{1,7}}))?",
    re.IGNORECASE | re.ASCII,
)


class NotationError(ValueError):
    """A series is not written as one; the text says what is wrong."""


def read_metric(written: str) -> tuple[str, Labels]:
    """Return name and labels of ``name{label="value"}``; either of them may be missing.

    Raises:
        NotationError: it is something else.
    """
    refused = NotationError(f'{written!r} is not a series; allowed: such as name{{label="value"}}')
    if written.strip() == "{}":
        return "", ()
    if not _SERIES.fullmatch(written):  # no operator, no function
        raise refused
    try:
        [selector] = compile_expression(written).selectors
    except ValueError:
        raise refused from None
    pairs = {matcher.label: matcher.value for matcher in selector.matchers}
    if len(pairs) < len(selector.matchers) or any(matcher.op != "=" for matcher in selector.matchers):
        raise refused
    name = pairs.pop(NAME, "")
    return name, canonical(pairs.items())


def read_series(written: str, values: str, interval_s: float) -> Series:
    """Return a series with a sample every ``interval_s``, the first at 0.

    Raises:
        NotationError: the series or its values are something else.
    """
    name, labels = read_metric(written)
    series = Series(name, labels, float("inf"))
    for index, value in enumerate(_values(values)):
        time_s = round(index * interval_s, 6)
        if value == STALE:
            series.end(time_s)
        elif not isinstance(value, str):
            series.append(time_s, value, SAMPLES_LIMIT)
    return series


def read_value(written: str) -> float:
    """Return a value; nothing is 0.

    Raises:
        NotationError: it is no number.
    """
    try:
        return float(written or "0")
    except ValueError:
        raise NotationError(f"{written!r} is not a number") from None


def _values(written: str) -> Iterator[float | str]:
    """Return each value, `STALE`, or "" for none."""
    total = 0
    for item in written.split():
        found = _ITEM.fullmatch(item)
        if found is None:
            raise NotationError(f"{item!r} is not a value; allowed: such as 1, 1x5, 1+2x5, _, _x5, stale")
        count = int(found["blanks"] or found["count"] or 0)
        total += count + 1
        if total > SAMPLES_LIMIT:
            raise NotationError(f"a series has more than {SAMPLES_LIMIT} values")
        if found["blank"]:
            yield from [""] * (count if found["blanks"] else 1)
        elif found["stale"]:
            yield STALE
        else:
            yield from _numbers(found["value"], found["step"] or "0", count)


def _numbers(first: str, step: str, count: int) -> Iterator[float]:
    value, each = float(first), float(step)
    for _ in range(count + 1):
        yield value
        value += each
