"""How fast a channel is notified: the cap and its summary, the size of messages, the waits of retrying."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sergas.core.delivery import Receiver, Why
from pytest_sergas.core.pacing import BACKLOG, Traffic, hold_back, pieces, retry_s, room_at, summarised
from tests.core.played import CHAT, notified

pytestmark = pytest.mark.unit


def test_cap_holds_back_what_is_more_in_a_minute() -> None:
    sent = [float(second) for second in range(10)]

    assert hold_back(CHAT, Traffic(sent[:9]), 9.0, critical=False) is None
    assert hold_back(CHAT, Traffic(sent), 10.0, critical=False) is Why.CAP
    assert hold_back(CHAT, Traffic(sent), 60.0, critical=False) is None


def test_what_is_critical_is_never_held_back() -> None:
    traffic = Traffic([0.0] * 100, BACKLOG, is_holding=True)

    assert hold_back(CHAT, traffic, 1.0, critical=True) is None


def test_what_comes_later_does_not_overtake_what_is_held_back() -> None:
    assert hold_back(CHAT, Traffic((), 0, is_holding=True), 100.0, critical=False) is Why.CAP


def test_channel_that_is_down_collects_a_summary() -> None:
    assert hold_back(CHAT, Traffic((), BACKLOG), 0.0, critical=False) is Why.DOWN


def test_cap_does_not_apply_to_a_receiver_that_forgets() -> None:
    traffic = Traffic([0.0] * 100, BACKLOG, is_holding=True)

    assert hold_back(replace(CHAT, resend_s=60), traffic, 1.0, critical=False) is None


@given(st.lists(st.floats(0, 1000), max_size=60), st.integers(1, 10))
def test_no_minute_has_more_than_the_cap(moments: list[float], per_minute: int) -> None:
    receiver = Receiver("chat", per_minute)
    sent: list[float] = []
    for moment in sorted(moments):
        if hold_back(receiver, Traffic(sent), moment, critical=False) is None:
            sent.append(moment)
        else:
            assert room_at(receiver, sent, moment) > moment

    assert all(sum(first <= other < first + 60 for other in sent) <= per_minute for first in sent)


def test_room_is_there_when_the_last_minute_has_less_than_the_cap_whatever_passed_it() -> None:
    assert room_at(Receiver("chat", 2), [0.0, 10.0, 20.0], 30.0) == 70.0


def test_summary_has_the_latest_of_each_alert() -> None:
    found = summarised([[notified("A"), notified("B")], [notified("A", over_s=5), notified("C", "error")]])

    assert [(alert.name, alert.status) for alert in found] == [("C", "firing"), ("B", "firing"), ("A", "resolved")]


def test_large_group_is_cut_into_few_messages_and_nothing_is_lost() -> None:
    alerts = [notified(f"A{number}") for number in range(2001)]
    cut = pieces(alerts)

    assert [len(piece) for piece in cut] == [1000, 1000, 1]
    assert [alert for piece in cut for alert in piece] == alerts


def test_waits_grow_to_five_minutes() -> None:
    assert [retry_s(attempts, 1.0, None) for attempts in (1, 2, 3, 9, 10, 10_000)] == [1, 2, 4, 256, 300, 300]


def test_jitter_takes_away_at_most_half() -> None:
    assert retry_s(3, 0.0, None) == 2.0


def test_receiver_that_asks_for_time_gets_it_within_reason() -> None:
    assert retry_s(1, 1.0, 30.0) == 30.0
    assert retry_s(1, 1.0, 1e9) == 3600.0
