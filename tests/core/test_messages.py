"""What a channel is told: kept word for word, and with the fingerprints that Prometheus has."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.messages import Notification, Notified, decode, encode, fingerprint
from pytest_sergas.core.series import canonical

pytestmark = pytest.mark.unit

texts = st.text(max_size=20)
pairs = st.dictionaries(texts, texts, max_size=4).map(lambda labels: canonical(labels.items()))
alerts = st.builds(
    Notified,
    labels=pairs,
    annotations=pairs,
    status=st.sampled_from(["firing", "resolved"]),
    starts_at_s=st.floats(0, 4e9),
    ends_at_s=st.none() | st.floats(0, 4e9),
    reason=texts,
    value=st.floats(allow_nan=False),
    fingerprint=texts,
    level=texts,
)
notifications = st.builds(
    Notification,
    alerts=st.lists(alerts, max_size=3).map(tuple),
    group_labels=pairs,
    receiver=texts,
    status=st.sampled_from(["firing", "resolved"]),
    key=texts,
    group_key=texts,
    external_url=texts,
    truncated=st.integers(0, 10**6),
    held_back=st.integers(0, 10**6),
    note=texts,
)


def alert(status: str = "firing", **labels: str) -> Notified:
    own = canonical(labels.items())
    return Notified(own, (), "resolved" if status == "resolved" else "firing", 0.0, None, "", 1.0, "", "warning")


def notification(*told: Notified) -> Notification:
    return Notification(told, (), "team", "firing", "key", "group")


@given(notifications)
def test_outbox_gives_back_what_it_was_given(told: Notification) -> None:
    assert decode(encode(told)) == told


def test_value_that_is_no_number_comes_back_as_one() -> None:
    told = Notified((), (), "firing", 0.0, None, "", math.nan, "", "warning")

    assert math.isnan(decode(encode(notification(told))).alerts[0].value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", id="no JSON"),
        pytest.param("[]", "not a notification: list", id="no object"),
        pytest.param("{}", "not a notification: 'alerts'", id="nothing in it"),
        pytest.param('{"alerts": [{"labels": 1}]}', "not a notification: 'int' object is not iterable", id="no labels"),
    ],
)
def test_what_is_no_notification_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        decode(text)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # The cases of Prometheus itself (common/model, signature_test.go).
        pytest.param({}, 14_695_981_039_346_656_037, id="none"),
        pytest.param({"name": "garland, briggs", "fear": "love is not enough"}, 5_799_056_148_416_392_346, id="two"),
    ],
)
def test_fingerprint_is_that_of_prometheus(labels: dict[str, str], expected: int) -> None:
    assert fingerprint(canonical(labels.items())) == f"{expected:016x}"


@given(pairs, pairs)
def test_other_labels_have_another_fingerprint(
    labels: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...]
) -> None:
    assert (fingerprint(labels) == fingerprint(other)) == (labels == other)


def test_what_all_alerts_share_is_common() -> None:
    told = notification(alert(alertname="a", job="shop", type="unit"), alert(alertname="a", job="shop", type="smoke"))

    assert told.common_labels == (("alertname", "a"), ("job", "shop"))


def test_what_one_of_many_alerts_lacks_is_not_common() -> None:
    both = {"alertname": "a", "job": "shop"}
    told = notification(alert(**both), alert(**both), alert(alertname="a", job="till"))

    assert told.common_labels == (("alertname", "a"),)


def test_everything_is_common_to_a_single_alert() -> None:
    assert notification(alert(alertname="a")).common_labels == (("alertname", "a"),)


def test_nothing_is_common_to_no_alerts() -> None:
    assert notification().common_labels == ()
    assert notification().common_annotations == ()


def test_alerts_are_told_apart_by_what_they_do() -> None:
    told = notification(alert("resolved", n="1"), alert(n="2"), alert("resolved", n="3"))

    assert [dict(one.labels)["n"] for one in told.firing] == ["2"]
    assert [dict(one.labels)["n"] for one in told.resolved] == ["1", "3"]
