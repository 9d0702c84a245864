"""A notification as people read it: what is said, and that nothing from outside makes it long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sergas.channels import wording
from pytest_sergas.core.messages import Notification, Status
from tests.channels.conftest import STARTED_S, alert, notification

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(notification(alert("Full", disk="/")), "[FIRING:1] Full: disk=/", id="one: its own labels"),
        pytest.param(
            notification(alert("A", n="1"), alert("A", n="2")), "[FIRING:2] A: type=smoke", id="many: what they share"
        ),
        pytest.param(
            notification(alert("A"), alert("B", status="resolved"), group_labels=()),
            "[FIRING:1, RESOLVED:1] A, B",
            id="both",
        ),
        pytest.param(
            notification(*(alert(name) for name in "ABCDE"), group_labels=()),
            "[FIRING:5] A, B, C and 2 more",
            id="more",
        ),
        pytest.param(
            Notification((), (), "team", "firing", "key", "group", held_back=12),
            "[HELD BACK:12]",
            id="only a summary",
        ),
    ],
)
def test_headline_says_it_all(told: Notification, expected: str) -> None:
    assert wording.headline(told) == expected


def test_what_is_hidden_is_counted() -> None:
    told = notification(*(alert(n=str(n)) for n in range(25)), truncated=100, held_back=1, note="Still firing.")

    assert wording.remarks(told) == (
        "Still firing.",
        "1 notification held back in the last minute: the cap of this channel",
        "105 more alerts of this group",
    )
    assert len(wording.stories(told)) == wording.ALERTS_SHOWN


def test_nothing_to_remark_is_nothing() -> None:
    assert wording.remarks(notification()) == ()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("condition_false", "resolved at 2026-05-28 20:28:20 UTC after 1 min 40 s: the condition is no longer true"),
        ("series_gone", "resolved at 2026-05-28 20:28:20 UTC after 1 min 40 s: its series is gone"),
        ("rule_gone", "resolved at 2026-05-28 20:28:20 UTC after 1 min 40 s: its rule is gone"),
        ("removed", "resolved at 2026-05-28 20:28:20 UTC after 1 min 40 s: removed"),
        ("", "resolved at 2026-05-28 20:28:20 UTC after 1 min 40 s"),
    ],
)
def test_end_says_why(reason: str, text: str) -> None:
    (story,) = wording.stories(notification(alert(status="resolved", reason=reason)))

    assert story.state == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_605, "1 h"),
        (93_600, "1 d 2 h"),
    ],
)
def test_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_highest_level_that_fires_counts() -> None:
    told = notification(alert(level="info"), alert(level="error"), alert(level="critical", status="resolved"))

    assert wording.level(told) == "error"


def test_nothing_that_fires_has_no_level() -> None:
    assert wording.level(notification(alert(status="resolved"))) == ""


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://wiki.example/a?b=c&d", True),
        ("http://wiki.example", True),
        ("javascript:alert(1)", False),
        ("https://a.example/|b>", False),
        ('https://a.example/"onclick="x', False),
        ("https://a.example/ b", False),
    ],
)
def test_link_is_what_leads_to_a_page_and_holds_no_markup(text: str, is_one: bool) -> None:  # noqa: FBT001
    assert wording.is_link(text) is is_one


@settings(deadline=None, max_examples=50)  # each is large
@given(
    st.dictionaries(st.text(min_size=1), st.text(max_size=100), max_size=25),
    st.text(max_size=300),
    st.sampled_from(["firing", "resolved"]),
)
def test_anything_can_be_told_and_stays_short(labels: dict[str, str], text: str, status: Status) -> None:
    one = alert(text * 400, status=status, annotations={**labels, "summary": text * 400, "description": text * 400})
    plain = wording.plain(notification(one, note=text))

    assert len(wording.headline(notification(one))) <= wording.HEADLINE_LIMIT
    assert len(plain) < 60_000
    assert not any(char in plain for char in "\r\x1b\x00")


def test_alert_that_began_at_any_time_has_a_time() -> None:
    assert wording.moment(STARTED_S) == "2026-05-28 20:26:40 UTC"
