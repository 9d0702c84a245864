"""Families as text: a page, or the part of it that one group has of one family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_sergas.core.exposition.format import BOUND_LABEL, InconsistentError, Labels, number
from pytest_sergas.core.metrics import Family, FamilyType, Sample


def label_text(labels: Iterable[tuple[str, str]]) -> str:
    """Return what stands between the braces for ``labels``, in their order."""
    return ",".join([f'{name}="{_escape(value)}"' for name, value in labels])


def sample_lines(family: Family) -> str:
    """Return the samples of ``family``, one line each, with no header."""
    return "".join(_line(family.name, sample, sample.timestamp_ms) for sample in family.samples)


def openmetrics_lines(family: Family) -> str:
    """Return the samples of ``family`` for OpenMetrics, where timestamps are seconds."""
    stamps = (None if sample.timestamp_ms is None else number(sample.timestamp_ms / 1000) for sample in family.samples)
    return "".join(_line(family.name, sample, stamp) for sample, stamp in zip(family.samples, stamps, strict=True))


def header(name: str, kind: FamilyType, text: str) -> str:
    """Return the lines that introduce a family in the text format."""
    help_line = f"# HELP {name} {_escape_help(text)}\n" if text else ""
    return f"{help_line}# TYPE {name} {kind}\n"


def render(families: Sequence[Family]) -> bytes:
    """Return ``families``, each of another name, as a page in the text format."""
    return "".join(
        header(family.name, family.type, family.help) + sample_lines(family) for family in families if family.samples
    ).encode()


class GroupWriter:
    """Writes families as the group with one grouping key exposes them.

    The labels of the key overwrite those of a sample; without an instance there is an empty one. Labels are sorted,
    so that the same series is the same text.
    """

    def __init__(self, key: Mapping[str, str]) -> None:
        self._key = key
        self._texts: dict[Labels, str] = {}
        self._series: dict[str, bytes] = {}

    def fragment(self, family: Family) -> tuple[bytes, tuple[bytes, ...]]:
        """Return the sample lines of ``family``, and what tells its series apart, as `series_of` does.

        Raises:
            InconsistentError: two of the samples are the same series, or the key has a label that is the family's own.
        """
        bound = BOUND_LABEL.get(family.type, "")
        if bound in self._key:
            raise InconsistentError(
                f"the {family.type} {family.name!r} has a label {bound!r} of its own; it cannot be grouped by"
            )
        name, lines, series = family.name, [], {}
        for sample in family.samples:
            labels, own = sample.labels, ""
            if bound and labels and labels[-1][0] == bound:
                labels, own = labels[:-1], f',{bound}="{labels[-1][1]}"'
            text = self._texts.get(labels)
            if text is None:
                text = self._texts[labels] = self.labels(labels)
            if not bound or sample.suffix == "_count":
                if text in series:
                    raise InconsistentError(f"the series {name}{{{text}}} is there twice")
                series[text] = self._series.setdefault(text, f"{{{text}}}".encode())
            lines.append(f"{name}{sample.suffix}{{{text}{own}}} {number(sample.value)}\n")
        return "".join(lines).encode(), tuple(series.values())

    def labels(self, labels: Labels) -> str:
        """Return what stands between the braces of a sample with these labels."""
        return label_text(sorted({"instance": "", **dict(labels), **self._key}.items()))


def series_of(name: str, kind: FamilyType, text: bytes) -> list[bytes]:
    """Return what tells the series of a fragment apart: the labels in braces, of a histogram or summary once each."""
    if kind in BOUND_LABEL:
        start = f"{name}_count{{".encode()
        lines = [line for line in text.split(b"\n") if line.startswith(start)]
        skip = len(start) - 1
    else:
        lines = text.split(b"\n")[:-1]
        skip = len(name)
    return [line[skip : line.rindex(b" ")] for line in lines]


def _line(name: str, sample: Sample, timestamp: object) -> str:
    labels = f"{{{label_text(sample.labels)}}}" if sample.labels else ""
    stamp = "" if timestamp is None else f" {timestamp}"
    return f"{name}{sample.suffix}{labels} {number(sample.value)}{stamp}\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
