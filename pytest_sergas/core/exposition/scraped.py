"""The page of another program, as Prometheus reads it: every line a sample, whatever its family's type would want.

It follows the lexer of Prometheus 2.42 (model/textparse). Values and labels stay as they are written, so that
``le="1.0"`` is not ``le="1"``; types are judged as words and mean nothing, because rules see samples alone. What is
pushed to us is read strictly instead (`reading`): there somebody can be told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from pytest_sergas.core.exposition.format import NAME, NUMBER, ExpositionError
from pytest_sergas.core.metrics import Family, Sample
from pytest_sergas.core.text import one_line

OPENMETRICS_TYPE = "application/openmetrics-text"

_VALUE = r'"(?:\\.|[^\\"])*"'
_LABEL = re.compile(rf"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*({_VALUE})[ \t]*,?", re.DOTALL)
# A text in quotes may have a line break in it.
_SAMPLE = re.compile(
    rf"({NAME})[ \t]*(?:\{{((?:[^\"}}]|{_VALUE})*)\}})?[ \t]*([^{{ \t\n]+)(?:[ \t]+([^ \t\n#][^ \t\n]*))?[ \t]*"
    r"(#[^\n]*)?(?:\n|\Z)",
    re.DOTALL,
)
_COMMENT = re.compile(r"[ \t]*#([^\n]*)(?:\n|\Z)")
_BLANK = re.compile(r"[ \t]*(?:\n|\Z)")
_METADATA = re.compile(rf"[ \t]+(HELP|TYPE|UNIT)[ \t]+(?:({NAME})[ \t]?)?(.*)", re.DOTALL)
_ESCAPES = re.compile(r'\\(["\\n])')
_SHOWN = 60
_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_OPENMETRICS_TYPES = frozenset(
    {"counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"}
)


def parse_scraped(body: bytes, content_type: str = "") -> tuple[Family, ...]:
    """Read a page; each name of a sample is a family without a type.

    Args:
        content_type: as the target says; OpenMetrics has its own types, timestamps in seconds, and exemplars.

    Raises:
        ExpositionError: Prometheus would not take the page.
    """
    is_openmetrics = content_type.partition(";")[0].strip().lower() == OPENMETRICS_TYPE
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise ExpositionError(line, 1, f"invalid UTF-8: byte 0x{body[error.start]:02x}") from None
    found: dict[str, list[Sample]] = {}
    for name, sample in _samples(text, is_openmetrics=is_openmetrics):
        found.setdefault(name, []).append(sample)
    return tuple(Family(name, "untyped", "", tuple(samples)) for name, samples in found.items())


def _samples(text: str, *, is_openmetrics: bool) -> Iterator[tuple[str, Sample]]:
    position = 0
    while position < len(text):
        if match := _COMMENT.match(text, position):
            if is_openmetrics and match[1] == " EOF":
                return
            _check_metadata(match, _OPENMETRICS_TYPES if is_openmetrics else _TYPES)
        elif match := _SAMPLE.match(text, position):
            yield match[1], _sample(match, is_openmetrics=is_openmetrics)
        elif not (match := _BLANK.match(text, position)):
            line = text[position:].partition("\n")[0]
            raise _wrong(text, position, f"no sample and no comment: {one_line(line, _SHOWN)!r}")
        position = match.end()
    if is_openmetrics:
        raise _wrong(text, position, "the page does not end with '# EOF'")


def _sample(match: re.Match[str], *, is_openmetrics: bool) -> Sample:
    _, block, written, stamp, exemplar = match.groups("")
    if not re.fullmatch(NUMBER, written) or (math.isinf(value := float(written)) and written[-1].isdigit()):
        raise _wrong(match.string, match.start(3), f"expected a number as value, got {one_line(written, _SHOWN)!r}")
    if exemplar and not is_openmetrics:
        raise _wrong(match.string, match.start(5), "expected the end of the line after the sample")
    if not re.fullmatch(NUMBER if is_openmetrics else r"[0-9]{1,19}", stamp or "0"):
        raise _wrong(match.string, match.start(4), f"expected a timestamp, got {one_line(stamp, _SHOWN)!r}")
    timestamp_ms = None if not stamp else round(float(stamp) * 1000) if is_openmetrics else int(stamp)
    return Sample(_labels(match, block), value, "", timestamp_ms)


def _labels(match: re.Match[str], block: str) -> tuple[tuple[str, str], ...]:
    labels: dict[str, str] = {}
    position, end = 0, len(block.rstrip(" \t"))
    while position < end:
        found = _LABEL.match(block, position)
        if found is None:
            raise _wrong(match.string, match.start(2) + position, "expected a label")
        name, quoted = found.groups()
        if name in labels or name == "__name__":
            raise _wrong(match.string, match.start(2) + found.start(1), f"label {name!r} is there twice")
        labels[name] = _ESCAPES.sub(lambda one: "\n" if one[1] == "n" else one[1], quoted[1:-1])
        position = found.end()
    return tuple(labels.items())


def _check_metadata(match: re.Match[str], types: frozenset[str]) -> None:
    found = _METADATA.fullmatch(match[1])
    if found is None:
        return  # a comment
    keyword, name, text = found.groups()
    if name is None:
        raise _wrong(match.string, match.start(1), f"expected the name of a metric after {keyword}")
    if keyword == "TYPE" and text not in types:
        raise _wrong(match.string, match.start(1), f"unknown metric type {text!r}; allowed: {', '.join(sorted(types))}")


def _wrong(text: str, position: int, reason: str) -> ExpositionError:
    line_start = text.rfind("\n", 0, position) + 1
    return ExpositionError(text.count("\n", 0, position) + 1, position - line_start + 1, reason)
