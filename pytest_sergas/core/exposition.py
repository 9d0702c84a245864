r"""The text format of metrics, written and read; OpenMetrics, written.

    # HELP shop_orders Orders, in the last minute.
    # TYPE shop_orders gauge
    shop_orders{branch="main",job="shop"} 3

The rules of reading are those of the parser of Prometheus' own Go library, which is what a Pushgateway accepts:
the last line ends with a newline, a type stands before the samples and only once, families may be interleaved.
In four places we are stricter, because what it accepts there cannot be scraped: a histogram has no samples but
buckets, sum and count (a summary: quantiles), each bucket once; counts are not negative; no value is glued to its
name; all of the text is UTF-8.

A histogram that is read is complete: buckets in the order given, ``+Inf`` (added where it is missing), sum, count.
``le`` is written as Prometheus' text format has it (``1``, not ``1.0``) in OpenMetrics, too, so that the series
does not depend on what a scrape asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from pytest_sergas.core.metrics import Family, FamilyType, Sample

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_END = b"# EOF\n"

Labels = tuple[tuple[str, str], ...]

_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_SUFFIXES: dict[FamilyType, tuple[str, ...]] = {
    "summary": ("_sum", "_count"),
    "histogram": ("_bucket", "_sum", "_count"),
}
# The label that a sample of such a family has of its own.
BOUND_LABEL: dict[FamilyType, str] = {"summary": "quantile", "histogram": "le"}

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_NUMBER = (
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]"
)
_QUOTED = r'"(?:[^"\\]|\\["\\n])*"'
_SAMPLE = re.compile(
    rf"[ \t]*({_NAME})(?:[ \t]*\{{((?:[^\"}}]|{_QUOTED})*)\}}[ \t]*|[ \t]+)({_NUMBER})(?:[ \t]+([+-]?[0-9]+))?"
)
_LABEL = re.compile(rf"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*({_QUOTED})[ \t]*(?:,|\Z)")
_COMMENT = re.compile(rf"[ \t]*#[ \t]*(HELP|TYPE)[ \t]+({_NAME})[ \t]+(.*)", re.DOTALL)
_BLANK = re.compile(r"[ \t]*(?:#.*)?", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BAD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\(?![\\n])", re.DOTALL)
_INT64 = range(-(2**63), 2**63)
_SHOWN = 80


class ExpositionError(ValueError):
    """The text is not in the format.

    Attributes:
        line, column: where, both from 1.
        text: what is wrong there.
    """

    def __init__(self, line: int, column: int, text: str) -> None:
        self.line = line
        self.column = column
        self.text = text
        super().__init__(f"line {line}, column {column}: {text}")


# Writing


def number(value: float) -> str:
    """Return how ``value`` is written; read again it is the same."""
    if value != value:  # noqa: PLR0124  what NaN alone is
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def label_text(labels: Iterable[tuple[str, str]]) -> str:
    """Return what stands between the braces for ``labels``, in their order."""
    return ",".join([f'{name}="{_escape(value)}"' for name, value in labels])


def sample_lines(family: Family) -> str:
    """Return the samples of ``family``, one line each, with no header."""
    return "".join(_line(family.name, sample, sample.timestamp_ms) for sample in family.samples)


def header(name: str, kind: FamilyType, text: str) -> str:
    """Return the lines that introduce a family in the text format."""
    help_line = f"# HELP {name} {_escape_help(text)}\n" if text else ""
    return f"{help_line}# TYPE {name} {kind}\n"


def openmetrics_header(name: str, kind: FamilyType, text: str, *, taken: Callable[[str], bool]) -> str:
    """Return the lines that introduce a family in OpenMetrics, where the samples stay as they are.

    A counter that does not end in ``_total``, or whose name without that is a family of its own, cannot be a
    counter there.

    Args:
        taken: whether a name is that of another family on the page.
    """
    written: str = kind
    if kind == "untyped":
        written = "unknown"
    elif kind == "counter":
        base = name.removesuffix("_total")
        written = "unknown" if base in {name, ""} or taken(base) else "counter"
        name = base if written == "counter" else name
    help_line = f"# HELP {name} {_escape(text)}\n" if text else ""
    return f"{help_line}# TYPE {name} {written}\n"


def render(families: Sequence[Family]) -> bytes:
    """Return ``families``, each of another name, as a page in the text format."""
    return "".join(
        header(family.name, family.type, family.help) + sample_lines(family) for family in families if family.samples
    ).encode()


def render_openmetrics(families: Sequence[Family]) -> bytes:
    """Return ``families``, each of another name, as a page in OpenMetrics."""
    names = {family.name for family in families if family.samples}
    parts = []
    for family in families:
        if family.samples:
            parts.append(openmetrics_header(family.name, family.type, family.help, taken=names.__contains__))
            for sample in family.samples:
                stamp = sample.timestamp_ms
                parts.append(_line(family.name, sample, None if stamp is None else number(stamp / 1000)))
    return "".join(parts).encode() + OPENMETRICS_END


def _line(name: str, sample: Sample, timestamp: object) -> str:
    labels = f"{{{label_text(sample.labels)}}}" if sample.labels else ""
    stamp = "" if timestamp is None else f" {timestamp}"
    return f"{name}{sample.suffix}{labels} {number(sample.value)}{stamp}\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


# Reading


def parse(body: bytes) -> tuple[Family, ...]:
    """Read a page in the text format; families in the order of their first line, those without samples left out.

    The same series twice is not found here, because what is the same may depend on labels that are added later.

    Raises:
        ExpositionError: the text is not in the format.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode().split("\n")
        found = f"invalid UTF-8: byte 0x{body[error.start]:02x}"
        raise ExpositionError(len(before), len(before[-1]) + 1, found) from None
    *lines, rest = text.split("\n")
    if _BLANK.fullmatch(rest) is None or "#" in rest:
        raise ExpositionError(len(lines) + 1, len(rest) + 1, "unexpected end: the last line must end with a newline")
    reader = _Reader()
    for index, line in enumerate(lines):
        if line:
            try:
                reader.read(line)
            except _Wrong as wrong:
                raise ExpositionError(index + 1, wrong.column, wrong.text) from None
    return reader.families()


class _Wrong(Exception):
    """What is wrong with a line, and at which column."""

    def __init__(self, index: int, text: str) -> None:
        self.column = index + 1
        self.text = text


@dataclass(slots=True)
class _Parts:
    """One histogram or summary, as far as it has been read."""

    bounds: dict[float, float] = field(default_factory=dict)
    sum: float = 0.0
    count: float = 0.0
    timestamp_ms: int | None = None


@dataclass(slots=True)
class _Open:
    """A family whose lines are still coming."""

    name: str
    type: FamilyType | None = None
    help: str | None = None
    samples: list[Sample] = field(default_factory=list)
    parts: dict[Labels, _Parts] = field(default_factory=dict)

    def close(self) -> Family:
        kind = self.type or "untyped"
        samples = [*self.samples]
        for labels, parts in self.parts.items():
            samples += _histogram(labels, parts) if kind == "histogram" else _summary(labels, parts)
        return Family(self.name, kind, self.help or "", tuple(samples))


def _histogram(labels: Labels, parts: _Parts) -> Iterator[Sample]:
    stamp = parts.timestamp_ms
    for bound, count in {**parts.bounds, math.inf: parts.bounds.get(math.inf, parts.count)}.items():
        yield Sample((*labels, ("le", number(bound))), count, "_bucket", stamp)
    yield Sample(labels, parts.sum, "_sum", stamp)
    yield Sample(labels, parts.count, "_count", stamp)


def _summary(labels: Labels, parts: _Parts) -> Iterator[Sample]:
    stamp = parts.timestamp_ms
    for bound, value in parts.bounds.items():
        yield Sample((*labels, ("quantile", number(bound))), value, "", stamp)
    yield Sample(labels, parts.sum, "_sum", stamp)
    yield Sample(labels, parts.count, "_count", stamp)


class _Reader:
    """Takes line after line."""

    def __init__(self) -> None:
        self._families: dict[str, _Open] = {}
        self._labels: dict[str, Labels] = {"": ()}  # those of a page repeat

    def families(self) -> tuple[Family, ...]:
        return tuple(family.close() for family in self._families.values() if family.samples or family.parts)

    def read(self, line: str) -> None:
        found = _SAMPLE.fullmatch(line)
        if found is None:
            if _BLANK.fullmatch(line) is None:
                raise _diagnosed(line)
            self._comment(line)
            return
        name, block, written, stamp = found.groups("")
        family = self._family(name)
        if family.type is None:
            family.type = "untyped"
        labels = self._labels.get(block)
        if labels is None:
            labels = self._labels[block] = _read_labels(block, found.start(2))
        value = float(written)
        if math.isinf(value) and written[-1].isdigit():
            raise _Wrong(found.start(3), f"expected a number as value, got {_shown(written)}, which is out of range")
        timestamp_ms = int(stamp) if stamp else None
        if timestamp_ms is not None and timestamp_ms not in _INT64:
            raise _Wrong(found.start(4), f"expected milliseconds as timestamp, got {_shown(stamp)}")
        if family.type in _SUFFIXES:
            self._part(family, name, labels, Sample((), value, "", timestamp_ms), found)
        else:
            family.samples.append(Sample(labels, value, "", timestamp_ms))

    def _family(self, name: str) -> _Open:
        """Return the family that a line about ``name`` belongs to."""
        found = self._families.get(name)
        if found is not None:
            return found
        for kind, suffixes in _SUFFIXES.items():
            for suffix in suffixes:
                family = self._families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
                if family is not None and family.type == kind:
                    return family
        return self._families.setdefault(name, _Open(name))

    def _comment(self, line: str) -> None:
        found = _COMMENT.fullmatch(line)
        if found is None or not found[3]:
            _check_comment(line)
            return
        keyword, name, text = found.groups()
        family = self._family(name)
        if keyword == "HELP":
            if family.help is not None:
                raise _Wrong(found.start(1), f"second HELP line for metric name {_shown(name)}")
            if bad := _BAD_ESCAPE.search(text):
                raise _Wrong(found.start(3) + bad.end() - 1, r"invalid escape sequence; allowed: \\ and \n")
            family.help = _unescape(text)
            return
        if family.type is not None:
            text = f"second TYPE line for metric name {_shown(name)}, or TYPE reported after samples"
            raise _Wrong(found.start(1), text)
        if text.lower() not in _TYPES:
            raise _Wrong(found.start(3), f"unknown metric type {_shown(text)}; allowed: {', '.join(sorted(_TYPES))}")
        family.type = cast("FamilyType", text.lower())

    @staticmethod
    def _part(family: _Open, name: str, labels: Labels, sample: Sample, found: re.Match[str]) -> None:
        """Take a sample of a histogram or summary."""
        kind = family.type or "untyped"
        suffix = name.removeprefix(family.name)
        bound_label = BOUND_LABEL[kind]
        bound = dict(labels).get(bound_label)
        own = tuple(label for label in labels if label[0] != bound_label)
        if suffix in {"_sum", "_count"}:
            wanted_bound = False
        elif suffix == ("_bucket" if kind == "histogram" else ""):
            wanted_bound = True
        else:
            raise _Wrong(found.start(1), f"the {kind} {_shown(family.name)} has no sample {_shown(name)}")
        if suffix in {"_bucket", "_count"} and not 0 <= sample.value < math.inf:
            raise _Wrong(found.start(3), f"expected a count as value, got {_shown(found[3])}")
        parts = family.parts.setdefault(own, _Parts())
        parts.timestamp_ms = sample.timestamp_ms if sample.timestamp_ms is not None else parts.timestamp_ms
        if not wanted_bound:
            if suffix == "_sum":
                parts.sum = sample.value
            else:
                parts.count = float(int(sample.value))
            return
        key = float(bound) if bound is not None and re.fullmatch(_NUMBER, bound) else math.nan
        if math.isnan(key):
            raise _Wrong(found.start(1), f"expected a number in the label {bound_label!r}, got {_shown(bound)}")
        if key in parts.bounds:
            raise _Wrong(found.start(1), f"{bound_label}={_shown(bound)} of {_shown(family.name)} stands twice")
        parts.bounds[key] = float(int(sample.value)) if kind == "histogram" else sample.value


def _read_labels(block: str, start: int) -> Labels:
    """Return the labels between two braces.

    Args:
        start: the index of ``block`` in its line.
    """
    labels: dict[str, str] = {}
    position = 0
    while block[position:].strip(" \t"):
        found = _LABEL.match(block, position)
        if found is None:
            raise _diagnosed_label(block, position, start)
        name, quoted = found.groups()
        if name in labels:
            raise _Wrong(start + found.start(1), f"label {_shown(name)} stands twice")
        if name == "__name__":
            raise _Wrong(start + found.start(1), "label name '__name__' is reserved")
        labels[name] = _unescape(quoted[1:-1])
        position = found.end()
    return tuple(labels.items())


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text


# What is wrong with a line that does not match: slower, and only then


_AFTER_NAME = re.compile(rf"[ \t]*({_NAME})?[ \t]*")
_LABEL_NAME = re.compile(r"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)?[ \t]*(=)?[ \t]*(\")?")
_LABEL_INSIDE = re.compile(rf"[ \t]*[a-zA-Z_][a-zA-Z0-9_]*[ \t]*=[ \t]*{_QUOTED}[ \t]*(?:,|(?=\}}))")
_INSIDE = re.compile(r'(?:[^"\\]|\\["\\n])*')
_WORD = re.compile(r"[^ \t]*")
_WORD_GAP = re.compile(r"[ \t]*")


def _diagnosed(line: str) -> _Wrong:
    head = _AFTER_NAME.match(line)
    assert head is not None  # noqa: S101  it matches nothing, too
    if head[1] is None:
        return _Wrong(head.end(), f"invalid metric name {_shown(_word(line, head.end()))}")
    if line[head.end() : head.end() + 1] == "{":
        return _diagnosed_block(line, head.end() + 1)
    return _diagnosed_value(line, head.end())


def _diagnosed_block(line: str, start: int) -> _Wrong:
    position = start
    while found := _LABEL_INSIDE.match(line, position):
        position = found.end()
    end = _WORD_GAP.match(line, position)
    position = end.end() if end else position
    if line[position : position + 1] != "}":
        return _diagnosed_label(line, position, 0)
    gap = _WORD_GAP.match(line, position + 1)
    return _diagnosed_value(line, gap.end() if gap else position + 1)


def _diagnosed_label(block: str, position: int, start: int) -> _Wrong:
    found = _LABEL_NAME.match(block, position)
    assert found is not None  # noqa: S101  it matches nothing, too
    name, equals, quote = found.groups()
    at = start + found.end()
    if name is None:
        return _Wrong(at, f"invalid label name {_shown(_word(block, found.end()))}")
    if equals is None:
        return _Wrong(at, f"expected '=' after label name {_shown(name)}")
    if quote is None:
        return _Wrong(at, f"expected '\"' at the start of the value of label {_shown(name)}")
    inside = _INSIDE.match(block, found.end())
    assert inside is not None  # noqa: S101  it matches nothing, too
    at = start + inside.end()
    if inside.end() == len(block):
        return _Wrong(at, f"the value of label {_shown(name)} does not end on its line")
    if block[inside.end()] == "\\":
        return _Wrong(at, rf"invalid escape sequence in label {_shown(name)}; allowed: \\, \" and \n")
    return _Wrong(at + 1, f"expected ',' or '}}' after the value of label {_shown(name)}")


def _diagnosed_value(line: str, position: int) -> _Wrong:
    word = _word(line, position)
    if not re.fullmatch(_NUMBER, word):
        return _Wrong(position, f"expected a number as value, got {_shown(word)}")
    rest = line[position + len(word) :]
    at = position + len(word) + len(rest) - len(rest.lstrip(" \t"))
    stamp = _word(line, at)
    if not re.fullmatch(r"[+-]?[0-9]+", stamp):
        return _Wrong(at, f"expected milliseconds as timestamp, got {_shown(stamp)}")
    return _Wrong(at + len(stamp), f"unexpected text after the timestamp: {_shown(line[at + len(stamp) :].strip())}")


def _check_comment(line: str) -> None:
    """Raise for a HELP or TYPE line whose name is none; any other comment is nobody's business."""
    found = re.fullmatch(rf"[ \t]*#[ \t]*(?:HELP|TYPE)[ \t]+(?!(?:{_NAME})?[ \t]*\Z)(.*)", line, re.DOTALL)
    if found:
        raise _Wrong(found.start(1), f"invalid metric name {_shown(_word(found[1], 0))} in a comment")


def _word(text: str, position: int) -> str:
    found = _WORD.match(text, position)
    return found[0] if found else ""


def _shown(value: str | None) -> str:
    return "nothing" if value is None else repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
