"""The page in OpenMetrics: a strict reader accepts it, and finds the samples of the text page."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pytest_sergas.core.exposition import OPENMETRICS_END, GroupWriter, openmetrics, parse
from pytest_sergas.core.exposition.openmetrics import is_strict, typed
from pytest_sergas.core.metrics import FamilyType

pytestmark = pytest.mark.unit

NAMES = st.sampled_from(["a", "a_total", "a_created", "a_created_total", "a_info", "a_bucket_total", "a_seconds", "b"])
KINDS: st.SearchStrategy[FamilyType] = st.sampled_from(["counter", "gauge", "histogram", "summary", "untyped"])


@pytest.mark.parametrize(
    ("families", "kept"),
    [
        pytest.param({"jobs_total": "counter"}, {"jobs_total": "jobs"}, id="counter"),
        pytest.param({"jobs": "counter"}, {}, id="counter of another name"),
        pytest.param({"_total": "counter"}, {}, id="counter without a name"),
        pytest.param({"jobs_total": "counter", "jobs": "gauge"}, {"jobs": "jobs"}, id="its name is taken"),
        pytest.param(
            {"jobs_total": "counter", "jobs_created": "gauge"}, {"jobs_created": "jobs_created"}, id="as it is pushed"
        ),
        pytest.param({"took": "histogram", "took_created": "gauge"}, {"took_created": "took_created"}, id="histogram"),
        pytest.param({"took": "untyped"}, {}, id="untyped"),
        pytest.param(
            {"a_total": "counter", "a_created_total": "counter"}, {"a_total": "a"}, id="two counters that need a name"
        ),
    ],
)
def test_a_family_keeps_its_type_where_it_takes_no_name_from_another(
    families: dict[str, FamilyType], kept: dict[str, str]
) -> None:
    assert typed(families) == kept


@pytest.mark.parametrize(
    ("kind", "text", "strict"),
    [
        pytest.param("gauge", b"m{} NaN\n", True, id="gauge"),
        pytest.param("counter", b"m_total{} NaN\n", False, id="counter that is no number"),
        pytest.param("counter", b"m_total{} -1\n", False, id="counter below zero"),
        pytest.param("histogram", b'm_bucket{le="+Inf"} 2\nm_sum{} 1\nm_count{} 2\n', True, id="histogram"),
        pytest.param(
            "histogram",
            b'm_bucket{le="0.5"} 1\nm_bucket{le="1"} 1\nm_bucket{le="+Inf"} 2\nm_sum{} 1\nm_count{} 2\n',
            False,
            id="bound that is whole",
        ),
        pytest.param(
            "histogram", b'm_bucket{le="0.5"} 3\nm_bucket{le="+Inf"} 2\nm_sum{} 1\nm_count{} 2\n', False, id="falling"
        ),
        pytest.param("histogram", b'm_bucket{le="+Inf"} 2\nm_sum{} -1\nm_count{} 2\n', False, id="sum below zero"),
        pytest.param("summary", b'm{quantile="0.5"} 2\nm_sum{} 1\nm_count{} 2\n', True, id="summary"),
        pytest.param("summary", b'm{quantile="1"} 2\nm_sum{} 1\nm_count{} 2\n', False, id="quantile that is whole"),
        pytest.param("summary", b"m_sum{} NaN\nm_count{} 2\n", False, id="sum that is no number"),
    ],
)
def test_samples_keep_their_type_where_openmetrics_allows_them(kind: FamilyType, text: bytes, *, strict: bool) -> None:
    assert is_strict(kind, text) is strict


@st.composite
def page(draw: st.DrawFn) -> bytes:
    """Return the text page of one group, as a client may push it."""
    families = draw(st.dictionaries(NAMES, KINDS, min_size=1))
    value = st.sampled_from(["1", "0", "2.5", "-1", "NaN", "+Inf"])
    count = st.sampled_from(["0", "1", "3"])
    lines = []
    for name, kind in families.items():
        lines.append(f"# HELP {name} A text.\n# TYPE {name} {kind}\n")
        if kind == "histogram":
            bounds = draw(st.lists(st.sampled_from(["0.5", "1", "2.5", "1e+06"]), unique=True))
            lines += [f'{name}_bucket{{le="{bound}"}} {draw(count)}\n' for bound in bounds]
        elif kind == "summary":
            shares = draw(st.sampled_from([[], ["0.5", "1"]]))
            lines += [f'{name}{{quantile="{share}"}} {draw(value)}\n' for share in shares]
        if kind in {"histogram", "summary"}:
            lines.append(f"{name}_sum {draw(value)}\n{name}_count {draw(count)}\n")
        else:
            lines.append(f"{name} {draw(value)}\n")
    return "".join(lines).encode()


@settings(deadline=None)
@given(page())
def test_a_strict_reader_finds_the_samples_of_the_text_page(body: bytes) -> None:
    families = [family for family in parse(body) if family.samples]
    names = [name for family in families for name in openmetrics.names_of(family.name, family.type)]
    if len(set(names)) < len(names):
        return  # such groups are refused
    writer = GroupWriter({"job": "j"})
    fragments = {family.name: (family.type, writer.fragment(family)[0]) for family in families}
    kept = typed({name: kind for name, (kind, _) in fragments.items()})
    parts = []
    for name, (kind, text) in sorted(fragments.items()):
        if name in kept and is_strict(kind, text):
            parts += [openmetrics.header(kept[name], kind, "Help."), text]
        else:
            for each, lines in openmetrics.split(name, [(kind, text)]).items():
                parts += [openmetrics.header(each, "unknown", "Help."), lines]

    found = samples(b"".join([*parts, OPENMETRICS_END]))

    assert sorted(found) == sorted(lines_of([text for _, text in fragments.values()]))


def samples(body: bytes) -> list[str]:
    read = text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]  # theirs has no types
    return [
        f"{sample.name}{sorted(sample.labels.items())} {float(sample.value)}"
        for family in read
        for sample in family.samples
    ]


def lines_of(texts: Sequence[bytes]) -> list[str]:
    found = []
    for text in texts:
        for line in text.decode().split("\n")[:-1]:
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            pairs = sorted(tuple(pair.split("=", 1)) for pair in labels.split(",") if pair)
            found.append(f"{name}{[(key, text.strip(chr(34))) for key, text in pairs]} {float(value)}")
    return found
