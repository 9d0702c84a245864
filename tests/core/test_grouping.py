"""Labels become a path and a path becomes labels, as the Pushgateway has it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sergas.core.grouping import GroupingKeyError, from_path, to_path

pytestmark = pytest.mark.unit

NAMES = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: name != "job")
VALUES = st.text(st.characters(codec="utf-8"), max_size=20)
KEYS = st.builds(
    lambda job, rest: {"job": job, **rest},
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.dictionaries(NAMES, VALUES, max_size=4),
)


@given(KEYS)
@example({"job": "..", "a": ".", "b": "%2F", "c": "=", "d": "a b+c"})
def test_labels_survive_the_path(labels: dict[str, str]) -> None:
    assert from_path(to_path(labels)) == labels


@given(KEYS, KEYS)
@example({"job": "j", "a": "b/c/d"}, {"job": "j", "a": "b", "c": "d"})
@example({"job": "j", "a": "\xff"}, {"job": "j", "a": "ÿ"})
def test_different_labels_have_different_paths(one: dict[str, str], other: dict[str, str]) -> None:
    assert (to_path(one) == to_path(other)) == (one == other)


@given(KEYS)
def test_order_of_the_labels_does_not_change_the_path(labels: dict[str, str]) -> None:
    assert to_path(dict(reversed(labels.items()))) == to_path(labels)


@given(KEYS)
def test_path_has_nothing_that_a_proxy_rewrites(labels: dict[str, str]) -> None:
    segments = to_path(labels).split("/")[1:]

    assert all(re.fullmatch(r"[A-Za-z0-9_.~@=-]+", segment) and segment not in {".", ".."} for segment in segments)


@given(st.text(max_size=40).map("/metrics/job/".__add__))
def test_any_path_is_a_key_that_survives_or_is_refused(path: str) -> None:
    try:
        labels = from_path(path)
    except GroupingKeyError:
        return
    assert from_path(to_path(labels)) == labels


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        pytest.param({"job": "shop"}, "/metrics/job/shop", id="job alone"),
        pytest.param({"type": "unit", "job": "shop"}, "/metrics/job/shop/type/unit", id="job first"),
        pytest.param({"job": "j", "b": "1", "a": "2"}, "/metrics/job/j/a/2/b/1", id="names sorted"),
        pytest.param({"job": "j", "branch": ""}, "/metrics/job/j/branch@base64/=", id="empty value"),
        pytest.param({"job": "a/b"}, "/metrics/job@base64/YS9i", id="slash"),
        pytest.param({"job": "a b"}, "/metrics/job@base64/YSBi", id="space"),
        pytest.param({"job": "Π"}, "/metrics/job@base64/zqA=", id="beyond ASCII"),
        pytest.param({"job": "..", "a": "."}, "/metrics/job@base64/Li4=/a@base64/Lg==", id="steps in a path"),
    ],
)
def test_labels_are_written_as(labels: dict[str, str], path: str) -> None:
    assert to_path(labels) == path


# What the Pushgateway makes of them is observed in tests/publishers/test_pushgateway.py.
ACCEPTED = [
    pytest.param("/job/j", {"job": "j"}, id="job alone"),
    pytest.param("/job/j/", {"job": "j"}, id="slash at the end"),
    pytest.param("/job/j/a/b", {"job": "j", "a": "b"}, id="a pair"),
    pytest.param("/job/j/a/", {"job": "j", "a": ""}, id="empty value at the end"),
    pytest.param("/job/j/a/b/a/c", {"job": "j", "a": "c"}, id="last of two counts"),
    pytest.param("/job/j/job/x", {"job": "j"}, id="first job counts"),
    pytest.param("/job@base64/dGVzdC9qb2I=", {"job": "test/job"}, id="base64 job"),
    pytest.param("/job@base64/dGVzdC9qb2I", {"job": "test/job"}, id="without padding"),
    pytest.param("/job@base64/dGVzdC9qb2I==", {"job": "test/job"}, id="too much padding"),
    pytest.param("/job/j/a@base64/=", {"job": "j", "a": ""}, id="empty base64 value"),
    pytest.param("/job/%CE%A0", {"job": "Π"}, id="percent-encoding"),
    pytest.param("/job/a+b", {"job": "a+b"}, id="plus is a plus"),
    pytest.param("/job/j/a%40base64/eA==", {"job": "j", "a": "x"}, id="encoded at sign"),
]
REFUSED = [
    pytest.param("/job/j/a", "odd number of components in label string '/a'", id="odd"),
    pytest.param("/job/j/a/b/", "odd number of components in label string '/a/b/'", id="slash after a pair"),
    pytest.param("/job/j/a/b%2Fc", "odd number of components in label string '/a/b/c'", id="encoded slash"),
    pytest.param("/job/j/a-b/c", "improper label name 'a-b'", id="dash in a name"),
    pytest.param("/job/j/1a/c", "improper label name '1a'", id="digit first"),
    pytest.param("/job/j/__x/c", "improper label name '__x'", id="reserved name"),
    pytest.param("/job@base64/a", "invalid base64 encoding in job name 'a'", id="base64 of no length"),
    pytest.param("/job@base64/a*bc", "invalid base64 encoding in job name 'a*bc'", id="no base64"),
    pytest.param("/job/j/a@base64/b+c=", "invalid base64 encoding for label a='b+c='", id="not the URL-safe alphabet"),
    pytest.param("/job@base64/=", "job name is required", id="empty job"),
]
REFUSED_HERE = [
    pytest.param("/job", "job name is required", id="no job"),
    pytest.param("/job/", "job name is required", id="nothing after job"),
    pytest.param("/instance/x", "path '/metrics/instance/x' does not start with /metrics/job/", id="no job first"),
    pytest.param("/job//a/b", "empty component in '/metrics/job//a/b'", id="empty component"),
    pytest.param("/job/%zz", "invalid percent-encoding in '/metrics/job/%zz'", id="no percent-encoding"),
    pytest.param("/job/%FF", "path '/metrics/job/%FF' is not UTF-8", id="path is not UTF-8"),
    pytest.param("/job/\udcff", "path '/metrics/job/\\udcff' is not UTF-8", id="half of a character"),
    pytest.param("/job@base64/_w", "value of label 'job' is not UTF-8", id="base64 value is not UTF-8"),
]


@pytest.mark.parametrize(("path", "labels"), ACCEPTED)
def test_path_is_read_as(path: str, labels: dict[str, str]) -> None:
    assert from_path(f"/metrics{path}") == labels


@pytest.mark.parametrize(("path", "text"), REFUSED + REFUSED_HERE)
def test_path_is_refused_with(path: str, text: str) -> None:
    with pytest.raises(GroupingKeyError) as raised:
        from_path(f"/metrics{path}")

    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        pytest.param({"type": "unit"}, "job name is required", id="no job"),
        pytest.param({"job": ""}, "job name is required", id="empty job"),
        pytest.param({"job": "j", "a-b": ""}, "improper label name 'a-b'", id="no label name"),
        pytest.param({"job": "j", "a": "\udcff"}, "value '\\udcff' of label 'a' is not UTF-8", id="not UTF-8"),
    ],
)
def test_labels_are_refused_with(labels: dict[str, str], text: str) -> None:
    with pytest.raises(GroupingKeyError) as raised:
        to_path(labels)

    assert str(raised.value) == text
