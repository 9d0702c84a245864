"""Text as families, line by line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from pytest_sergas.core.exposition.diagnosis import Wrong, check_comment, diagnosed, diagnosed_label, shown
from pytest_sergas.core.exposition.format import (
    BOUND_LABEL,
    NAME,
    NUMBER,
    QUOTED,
    SUFFIXES,
    UNBOUNDED,
    Bounds,
    ExpositionError,
    Labels,
    TooMuchError,
    number,
)
from pytest_sergas.core.metrics import Family, FamilyType, Sample

_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_SAMPLE = re.compile(
    rf"[ \t]*({NAME})(?:[ \t]*\{{([^\"}}]*(?:{QUOTED}[^\"}}]*)*)\}}[ \t]*|[ \t]+)({NUMBER})(?:[ \t]+([+-]?[0-9]+))?"
)
_LABEL = re.compile(rf"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*({QUOTED})[ \t]*(?:,|\Z)")
_COMMENT = re.compile(rf"[ \t]*#[ \t]*(HELP|TYPE)[ \t]+({NAME})[ \t]+(.*)", re.DOTALL)
_BLANK = re.compile(r"[ \t]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BAD_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\(?![\\n])", re.DOTALL)
_BLOCK_BYTES = 64 * 1024
_REMEMBERED = 256  # characters of the longest comment that is remembered
_INT64 = range(-(2**63), 2**63)
_INT64_DIGITS = 19
_ANY_SUFFIX = tuple({suffix for suffixes in SUFFIXES.values() for suffix in suffixes})


def parse(body: bytes, bounds: Bounds = UNBOUNDED) -> tuple[Family, ...]:
    """Read a page in the text format; families in the order of their first line, those without samples left out.

    The same series twice is not found here, because what is the same may depend on labels that are added later.

    Raises:
        ExpositionError: the text is not in the format.
        TooMuchError: there is more than ``bounds`` allow.
    """
    reader = _Reader(bounds)
    before, rest = 0, ""  # how many lines, and what stands after the last newline
    for block in _blocks(body):
        *lines, rest = _decoded(block, before).split("\n")
        for index, line in enumerate(lines, before + 1):
            if len(line) > bounds.line:
                raise TooMuchError("line", bounds.line)
            if line:
                try:
                    reader.read(line)
                except Wrong as wrong:
                    raise ExpositionError(index, wrong.column, wrong.text) from None
        before += len(lines)
    if _BLANK.fullmatch(rest) is None:
        raise ExpositionError(before + 1, len(rest) + 1, "unexpected end: the last line must end with a newline")
    return reader.families()


def _blocks(body: bytes) -> Iterator[bytes]:
    """Return ``body`` in pieces that end with a newline: a large one is not in memory as lines, too."""
    start = 0
    while end := body.find(b"\n", start + _BLOCK_BYTES) + 1:
        yield body[start:end]
        start = end
    yield body[start:]


def _decoded(block: bytes, before: int) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError as error:
        lines = block[: error.start].decode().split("\n")
        found = f"invalid UTF-8: byte 0x{block[error.start]:02x}"
        raise ExpositionError(before + len(lines), len(lines[-1]) + 1, found) from None


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

    def __init__(self, bounds: Bounds) -> None:
        self._most_series = bounds.series
        self._most_labels = bounds.labels
        self._series_count = 0
        self._label_count = 0
        self._families: dict[str, _Open] = {}
        self._last = _Open("")
        self._labels: dict[str, Labels] = {"": ()}  # those of a page repeat

    def families(self) -> tuple[Family, ...]:
        return tuple(family.close() for family in self._families.values() if family.samples or family.parts)

    def read(self, line: str) -> None:
        if line.lstrip(" \t").startswith("#"):
            self._comment(line)
            return
        found = _SAMPLE.fullmatch(line)
        if found is None:
            if _BLANK.fullmatch(line) is None:
                raise diagnosed(line)
            return
        name, block, written, stamp = found.groups("")
        family = self._family(name)
        if family.type is None:
            family.type = "untyped"
        self._series_count += 1
        if self._series_count > self._most_series:
            raise TooMuchError("series", self._most_series)
        labels = self._labels.get(block)
        if labels is None:
            labels = self._new_labels(block, found.start(2))
        value = float(written)
        if math.isinf(value) and written[-1].isdigit():
            raise Wrong(found.start(3), f"expected a number as value, got {shown(written)}, which is out of range")
        timestamp_ms = _milliseconds(stamp) if stamp else None
        if timestamp_ms is not None and timestamp_ms not in _INT64:
            raise Wrong(found.start(4), f"expected milliseconds as timestamp, got {shown(stamp)}")
        if family.type in SUFFIXES:
            self._part(family, name, labels, Sample((), value, "", timestamp_ms), found)
        else:
            family.samples.append(Sample(labels, value, "", timestamp_ms))

    def _new_labels(self, block: str, start: int) -> Labels:
        labels = self._labels[block] = _read_labels(block, start)
        self._label_count += len(labels)
        if self._label_count > self._most_labels:
            raise TooMuchError("labels", self._most_labels)
        return labels

    def _family(self, name: str) -> _Open:
        """Return the family that a line about ``name`` belongs to."""
        if name == self._last.name:
            return self._last
        self._last = self._families.get(name) or self._new_family(name)
        return self._last

    def _new_family(self, name: str) -> _Open:
        for kind, suffixes in SUFFIXES.items() if name.endswith(_ANY_SUFFIX) else ():
            for suffix in suffixes:
                family = self._families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
                if family is not None and family.type == kind:
                    return family
        if len(self._families) >= self._most_series:
            raise TooMuchError("series", self._most_series)
        return self._families.setdefault(name, _Open(name))

    def _comment(self, line: str) -> None:
        found = _remembered_comment(line) if len(line) < _REMEMBERED else _read_comment(line)
        if found is None:
            return
        family = self._family(found.name)
        if found.type is None:
            if family.help is not None:
                raise Wrong(found.at, f"second HELP line for metric name {shown(found.name)}")
            family.help = found.help
            return
        if family.type is not None:
            text = f"second TYPE line for metric name {shown(found.name)}, or TYPE reported after samples"
            raise Wrong(found.at, text)
        family.type = found.type

    @staticmethod
    def _part(family: _Open, name: str, labels: Labels, sample: Sample, found: re.Match[str]) -> None:
        """Take a sample of a histogram or summary."""
        kind = family.type or "untyped"
        suffix = name.removeprefix(family.name)
        bound_label = BOUND_LABEL[kind]
        bound = dict(labels).get(bound_label)
        own = tuple(sorted(label for label in labels if label[0] != bound_label))
        if suffix in {"_sum", "_count"}:
            wanted_bound = False
        elif suffix == ("_bucket" if kind == "histogram" else ""):
            wanted_bound = True
        else:
            raise Wrong(found.start(1), f"the {kind} {shown(family.name)} has no sample {shown(name)}")
        if suffix in {"_bucket", "_count"} and not 0 <= sample.value < math.inf:
            raise Wrong(found.start(3), f"expected a count as value, got {shown(found[3])}")
        parts = family.parts.setdefault(own, _Parts())
        parts.timestamp_ms = sample.timestamp_ms if sample.timestamp_ms is not None else parts.timestamp_ms
        if not wanted_bound:
            if suffix == "_sum":
                parts.sum = sample.value
            else:
                parts.count = float(int(sample.value))
            return
        key = float(bound) if bound is not None and re.fullmatch(NUMBER, bound) else math.nan
        if math.isnan(key):
            raise Wrong(found.start(1), f"expected a number in the label {bound_label!r}, got {shown(bound)}")
        if key in parts.bounds:
            raise Wrong(found.start(1), f"{bound_label}={shown(bound)} of {shown(family.name)} stands twice")
        parts.bounds[key] = float(int(sample.value)) if kind == "histogram" else sample.value


@dataclass(frozen=True, slots=True)
class _Comment:
    """A line with a type or, where that is None, with help; ``at`` is the index of its keyword."""

    name: str
    at: int
    type: FamilyType | None
    help: str


def _read_comment(line: str) -> _Comment | None:
    found = _COMMENT.fullmatch(line)
    if found is None or not found[3]:
        check_comment(line)
        return None
    keyword, name, text = found.groups()
    if keyword == "HELP":
        if bad := _BAD_ESCAPE.search(text):
            raise Wrong(found.start(3) + bad.end() - 1, r"invalid escape sequence; allowed: \\ and \n")
        return _Comment(name, found.start(1), None, _unescape(text))
    if text.lower() not in _TYPES:
        raise Wrong(found.start(3), f"unknown metric type {shown(text)}; allowed: {', '.join(sorted(_TYPES))}")
    return _Comment(name, found.start(1), cast("FamilyType", text.lower()), "")


# Whoever pushes sends the same help and types every time; one text for all of them also saves memory.
_remembered_comment = lru_cache(maxsize=4_096)(_read_comment)


def _read_labels(block: str, start: int) -> Labels:
    """Return the labels between two braces.

    Args:
        start: the index of ``block`` in its line.
    """
    labels: dict[str, str] = {}
    position, end = 0, len(block.rstrip(" \t"))
    while position < end:
        found = _LABEL.match(block, position)
        if found is None:
            raise diagnosed_label(block, position, start)
        name, quoted = found.groups()
        if name in labels:
            raise Wrong(start + found.start(1), f"label {shown(name)} stands twice")
        if name == "__name__":
            raise Wrong(start + found.start(1), "label name '__name__' is reserved")
        labels[name] = _unescape(quoted[1:-1])
        position = found.end()
    return tuple(labels.items())


def _milliseconds(stamp: str) -> int:
    """Return ``stamp`` as a number; one beyond 64 bits when it has more digits, which Python may refuse to read."""
    digits = stamp.lstrip("+-0")
    size = int(digits or "0") if len(digits) <= _INT64_DIGITS else _INT64.stop
    return -size if stamp.startswith("-") else size


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text
