"""The page in OpenMetrics: the samples of the text format, under types that strict parsers accept.

    https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md

Names, labels and values are those of the text page, so that a series does not depend on what a scrape asked for. What
OpenMetrics forbids for a type weakens the type, to ``unknown``: a counter whose name does not end in ``_total`` or
whose value is no count, ``le="1"`` instead of ``"1.0"``, and a family that would take a name from another one, as the
counter ``jobs_total`` takes ``jobs`` and ``jobs_created``. A histogram or summary that is weakened becomes a family for
each of its names, because the samples of an unknown family have its own name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from pytest_sergas.core.exposition.format import SUFFIXES
from pytest_sergas.core.metrics import FamilyType

_TOTAL = "_total"
_CREATED = "_created"
# A bound as OpenMetrics has it: with a point, without an exponent.
_BOUND = re.compile(rb'(?:le|quantile)="(?:-?\d+\.\d+|\+Inf)"\}')

Fragment = tuple[FamilyType, bytes]


def names_of(name: str, kind: FamilyType) -> tuple[str, ...]:
    """Return the names of the samples of a family."""
    if kind == "histogram":
        return tuple(name + suffix for suffix in SUFFIXES[kind])
    return (name, *(name + suffix for suffix in SUFFIXES.get(kind, ())))


def typed(families: Mapping[str, FamilyType]) -> Mapping[str, str]:
    """Return which families of a page keep their type, as far as names go: name → the name that they have there."""
    plain: dict[str, int] = {}
    for name, kind in families.items():
        for each in names_of(name, kind):
            plain[each] = plain.get(each, 0) + 1
    kept: dict[str, str] = {}
    claimed: set[str] = set()
    for name, kind in families.items():
        base = name.removesuffix(_TOTAL) if kind == "counter" else name
        if kind == "untyped" or (kind == "counter" and base in {name, ""}):
            continue
        own = set(names_of(name, kind))
        claims = {base, *own} if kind == "gauge" else {base, base + _CREATED, *own}
        others = {each for each in claims if plain.get(each, 0) > (each in own)}
        if not others and not claims & claimed:
            kept[name] = base
            claimed |= claims
    return kept


def is_strict(kind: FamilyType, text: bytes) -> bool:
    """Whether the sample lines of one group may stand under the type of their family.

    Args:
        text: as `GroupWriter.fragment` has it.
    """
    if kind in {"gauge", "untyped"}:
        return True
    lines = [line.rpartition(b" ") for line in text.split(b"\n")[:-1]]
    values = [float(value) for _, _, value in lines]
    if kind == "counter":
        return all(value >= 0 for value in values)
    bounded = [series for series, _, _ in lines if b'le="' in series or b'quantile="' in series]
    if any(math.isnan(value) or value < 0 for value in values):
        return False
    if not all(_BOUND.search(series) for series in bounded):
        return False
    return all(_is_complete(samples) for samples in _by_series(lines)) if kind == "histogram" else True


def _by_series(lines: Iterable[tuple[bytes, bytes, bytes]]) -> Iterable[list[float]]:
    """Return the values of each histogram: buckets, sum, count."""
    samples: list[float] = []
    for series, _, value in lines:
        samples.append(float(value))
        if series.partition(b"{")[0].endswith(b"_count"):
            yield samples
            samples = []


def _is_complete(samples: Sequence[float]) -> bool:
    *buckets, _, count = samples
    return bool(buckets) and buckets == sorted(buckets) and buckets[-1] == count


def split(name: str, fragments: Iterable[Fragment]) -> Mapping[str, bytes]:
    """Return the lines of ``fragments`` by the name of their samples."""
    found: dict[str, list[bytes]] = {}
    for kind, text in fragments:
        starts = [(each, (each.encode() + b"{", each.encode() + b" ")) for each in names_of(name, kind)]
        for line in text.split(b"\n")[:-1]:  # not splitlines(): a label may have a carriage return
            which = next(each for each, start in starts if line.startswith(start))
            found.setdefault(which, []).append(line + b"\n")
    return {each: b"".join(lines) for each, lines in sorted(found.items())}


def header(name: str, kind: str, text: str) -> bytes:
    """Return the lines that introduce a family."""
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    help_line = f"# HELP {name} {escaped}\n" if text else ""
    return f"{help_line}# TYPE {name} {kind}\n".encode()
