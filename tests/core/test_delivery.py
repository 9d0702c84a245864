"""What is told to whom and when, and why not: played in virtual time, with receivers that take everything at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sergas.core.delivery import identity
from pytest_sergas.core.routes import Escalation
from pytest_sergas.core.series import Labels
from pytest_sergas.core.silences import Muted
from tests.core.played import CHAT, PHONE, ROUTE, WALL_S, Play, labels, never

pytestmark = pytest.mark.unit


def test_alerts_that_fire_within_the_wait_are_one_message() -> None:
    play = Play()
    play.fire("A", "B")
    play.until(1)
    play.fire("C")
    play.until(60)

    assert play.told == ["2 chat: A fires, B fires, C fires"]


def test_wait_of_zero_tells_at_once() -> None:
    play = Play(replace(ROUTE, group_wait_s=0))
    play.fire("A")

    assert play.told == ["0 chat: A fires"]


def test_group_is_not_told_again_within_its_interval() -> None:
    play = Play()
    play.fire("A")
    play.until(5)
    play.fire("B")
    play.until(60)

    assert play.told == ["2 chat: A fires", "32 chat: A fires, B fires"]


def test_what_still_fires_is_repeated_and_nothing_else_is() -> None:
    play = Play()
    play.fire("A")
    play.until(8000)

    assert play.told == ["2 chat: A fires", "3602 chat: A fires", "7202 chat: A fires"]
    assert play.why == ["2 A chat new", "3602 A chat repeat", "7202 A chat repeat"]


def test_end_is_told_once_with_what_still_fires() -> None:
    play = Play()
    play.fire("A", "B")
    play.until(100)
    play.end("A")
    play.until(200)

    assert play.told == ["2 chat: A fires, B fires", "102 chat: B fires, A over"]


def test_end_of_what_nobody_was_told_is_not_told() -> None:
    play = Play()
    play.fire("A")
    play.until(1)
    play.end("A")
    play.until(60)

    assert play.told == []
    assert play.why == ["2 A chat over_before_it_was_told"]
    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


def test_group_is_forgotten_when_everything_in_it_is_over() -> None:
    play = Play()
    play.fire("A")
    play.until(100)
    play.end("A")
    play.until(1000)

    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


# Cooldown


def test_flapping_alert_is_told_once_in_a_cooldown() -> None:
    play = Play(replace(ROUTE, group_wait_s=0, group_interval_s=0))
    for second in range(0, 300, 20):
        play.until(second)
        play.fire("A")
        play.until(second + 10)
        play.end("A")
    play.until(1000)

    assert play.told == ["0 chat: A fires", "10 chat: A over"]


def test_alert_that_still_fires_after_the_cooldown_is_told_then() -> None:
    play = Play()
    play.fire("A")
    play.until(50)
    play.end("A")
    play.until(100)
    play.fire("A")
    play.until(400)

    assert play.told == ["2 chat: A fires", "52 chat: A over", "302 chat: A fires"]
    assert play.why == ["2 A chat new", "52 A chat resolved", "102 A chat cooldown", "302 A chat new"]


def test_cooldown_never_delays_an_end() -> None:
    play = Play(replace(ROUTE, group_wait_s=0, group_interval_s=0))
    play.fire("A", cooldown_s=86_400)
    play.until(10)
    play.end("A")

    assert play.told == ["0 chat: A fires", "10 chat: A over"]


def test_rise_in_severity_passes_cooldown_and_waiting() -> None:
    play = Play()
    play.fire("A")
    play.until(10)
    play.end("A")
    play.fire("A", level="critical")

    assert play.told == ["2 chat: A fires", "10 chat: A fires, A over"]
    assert play.why[1:] == ["10 A chat resolved", "10 A chat severity_rise"]


def test_rise_after_an_end_passes_the_cooldown() -> None:
    play = Play()
    play.fire("A")
    play.until(10)
    play.end("A")
    play.until(100)
    play.fire("A", level="error")

    assert play.told[-1] == "100 chat: A fires"
    assert play.why[-1] == "100 A chat severity_rise"


def test_alert_that_becomes_less_severe_is_not_taken_for_over() -> None:
    play = Play()
    play.fire("A", level="critical")
    play.until(40)
    play.end("A", level="critical")
    play.fire("A", level="warning")
    play.until(60)

    assert play.told[-1] == "42 chat: A fires, A over"


def test_cooldown_of_a_rule_is_its_repeat_interval_and_least_gap() -> None:
    play = Play(replace(ROUTE, group_wait_s=0, group_interval_s=0))
    play.fire("A", cooldown_s=60)
    play.until(130)
    play.end("A")
    play.fire("A", cooldown_s=60)
    play.until(200)

    assert play.told == [
        "0 chat: A fires",
        "60 chat: A fires",
        "120 chat: A fires",
        "130 chat: A over",
        "180 chat: A fires",
    ]


def test_identity_is_the_labels_without_severity() -> None:
    assert identity(labels("A", "info")) == identity(labels("A", "critical")) == (("alertname", "A"),)


# Silences


def silenced_until(second: float) -> Callable[[Labels], Muted | None]:
    return lambda _: Muted("silence s", WALL_S + second)


def test_silenced_alert_is_not_told_and_the_reason_names_the_silence() -> None:
    play = Play(muted=silenced_until(1000))
    play.fire("A")
    play.until(500)
    play.look(at_all=True)

    assert play.told == []
    assert play.why == ["2 A chat silenced"]  # said once
    assert play.details == ["silence s"]


def test_alert_that_fires_beyond_its_silence_is_told_then() -> None:
    play = Play(muted=silenced_until(100))
    play.fire("A")
    play.until(99)
    play.muted = never
    play.until(200)

    assert play.told == ["100 chat: A fires"]


def test_expired_silence_notifies_again() -> None:
    play = Play()
    play.fire("A")
    play.until(50)
    play.muted = silenced_until(100)
    play.look(at_all=True)
    play.until(99)
    play.muted = never
    play.until(200)

    assert play.told == ["2 chat: A fires", "100 chat: A fires"]
    assert play.why[-1] == "100 A chat silence_over"


def test_silenced_alert_is_not_repeated() -> None:
    play = Play()
    play.fire("A")
    play.until(50)
    play.muted = silenced_until(10_000)
    play.until(9000)

    assert play.told == ["2 chat: A fires"]


def test_end_of_what_was_told_is_told_although_it_is_silenced() -> None:
    play = Play()
    play.fire("A")
    play.until(50)
    play.muted = silenced_until(10_000)
    play.end("A")
    play.until(100)

    assert play.told == ["2 chat: A fires", "52 chat: A over"]


def test_end_of_a_silence_is_looked_for_within_a_minute_whatever_the_wall_clock_does() -> None:
    play = Play(muted=silenced_until(100_000))
    play.fire("A")
    play.until(2)

    assert play.ledger.next_s == 62


# Escalation

ESCALATING = replace(ROUTE, escalations=(Escalation(600, ("phone",)),))


def test_alert_that_still_fires_after_a_time_is_escalated() -> None:
    play = Play(ESCALATING)
    play.fire("A")
    play.until(1000)

    assert play.told == ["2 chat: A fires", "600 phone: A fires"]
    assert play.why[-1] == "600 A phone escalation"
    assert play.got[-1].note == "still firing, therefore escalated"


def test_what_is_due_for_its_time_waits_for_the_interval_of_the_group_too() -> None:
    play = Play(replace(ROUTE, escalations=(Escalation(10, ("phone",)),)))
    play.fire("A")
    play.until(100)

    assert play.told == ["2 chat: A fires", "32 phone: A fires"]


def test_alert_that_is_over_in_time_is_not_escalated() -> None:
    play = Play(ESCALATING)
    play.fire("A")
    play.until(500)
    play.end("A")
    play.until(1000)

    assert [line for line in play.told if "phone" in line] == []


def test_those_to_whom_it_was_escalated_hear_of_the_end() -> None:
    play = Play(ESCALATING)
    play.fire("A")
    play.until(700)
    play.end("A")
    play.until(1000)

    assert play.told[-2:] == ["702 chat: A over", "702 phone: A over"]


def test_silence_keeps_an_alert_from_being_escalated() -> None:
    play = Play(ESCALATING)
    play.fire("A")
    play.until(500)
    play.muted = silenced_until(10_000)
    play.until(1000)

    assert play.told == ["2 chat: A fires"]


# Receivers


def test_receiver_that_forgets_is_told_again_without_repeats_for_the_others() -> None:
    play = Play(replace(ROUTE, channels=("chat", "phone")), {"chat": CHAT, "phone": replace(PHONE, resend_s=60)})
    play.fire("A")
    play.until(130)

    assert play.told == ["2 chat: A fires", "2 phone: A fires", "62 phone: A fires", "122 phone: A fires"]
    assert play.why == ["2 A chat new", "2 A phone new"]  # history is not filled with it


def test_receiver_that_forgets_knows_no_cooldown() -> None:
    play = Play(replace(ROUTE, group_wait_s=0, group_interval_s=0), {"chat": replace(CHAT, resend_s=60)})
    play.fire("A")
    play.end("A")
    play.fire("A")

    assert play.told == ["0 chat: A fires", "0 chat: A over", "0 chat: A fires"]


def test_receiver_that_wants_no_ends_gets_none() -> None:
    play = Play(receivers={"chat": replace(CHAT, tells_resolved=False)})
    play.fire("A")
    play.until(50)
    play.end("A")
    play.until(1000)

    assert play.told == ["2 chat: A fires"]
    assert play.why[-1] == "52 A chat send_resolved_is_off"
    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


def test_channel_that_is_gone_is_not_owed_anything() -> None:
    play = Play()
    play.fire("A")
    play.until(50)
    play.reload(ROUTE, without=("chat",))
    play.end("A")
    play.until(100)

    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


def test_route_that_is_gone_still_ends_what_was_told() -> None:
    play = Play()
    play.fire("A", "B")
    play.until(50)
    play.reload(replace(ROUTE, channels=()))
    play.end("A")
    play.until(100_000)

    assert play.told == ["2 chat: A fires, B fires", "50 chat: A over"]


def test_worst_alert_stands_first() -> None:
    play = Play()
    play.fire("A", level="info")
    play.fire("Z", level="critical")
    play.until(10)

    assert play.told == ["2 chat: Z fires, A fires"]


# What always holds

STEPS = st.lists(
    st.tuples(st.floats(0, 400), st.sampled_from("AB"), st.sampled_from(["info", "critical"]), st.booleans()),
    max_size=25,
)


@settings(max_examples=200)
@given(STEPS, st.sampled_from([0.0, 300.0]), st.sampled_from([0.0, 2.0]), st.sampled_from([0.0, 30.0]))
def test_every_channel_knows_in_the_end_what_fires_and_no_end_comes_unasked(
    steps: list[tuple[float, str, str, bool]], cooldown_s: float, wait_s: float, interval_s: float
) -> None:
    play = Play(replace(ESCALATING, cooldown_s=cooldown_s, group_wait_s=wait_s, group_interval_s=interval_s))
    firing: set[Labels] = set()
    for gap_s, name, level, fires in steps:
        play.until(play.second + gap_s)
        if fires != (labels(name, level) in firing):
            (play.fire if fires else play.end)(name, level=level)
            (firing.add if fires else firing.discard)(labels(name, level))
    play.until(play.second + 2000)

    for channel in ("chat", "phone"):
        known: set[Labels] = set()
        for one in play.got:
            for alert in one.alerts if one.receiver == channel else ():
                assert alert.status == "firing" or alert.labels in known
                (known.add if alert.status == "firing" else known.discard)(alert.labels)
        assert known == firing
    assert set(play.ledger.entries) == firing
