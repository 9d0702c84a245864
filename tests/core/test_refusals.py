"""Taken means taken: what a receiver refused is owed while the alert fires, and nothing is ended that was not begun."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from pytest_sergas.core.delivery import refusal_wait_s
from pytest_sergas.core.routes import Escalation
from pytest_sergas.core.silences import Muted
from tests.core.played import ROUTE, WALL_S, Play, never

pytestmark = pytest.mark.unit

AT_ONCE = replace(ROUTE, group_wait_s=0)


def refusing() -> Play:
    """Return a play in which A fires, and its receiver has refused it at second 0."""
    play = Play(AT_ONCE, refusing={"chat"})
    play.fire("A")
    return play


def test_what_was_refused_is_tried_again_at_the_interval_doubling_to_an_hour() -> None:
    play = refusing()
    play.until(20_000)

    seconds = [float(line.split()[0]) for line in play.refused]
    gaps = [after - before for before, after in pairwise(seconds)]
    assert gaps[:10] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert play.told == []
    assert play.why[:2] == ["0 A chat new", "30 A chat after_refusal"]


@pytest.mark.parametrize(
    ("refusals", "interval_s", "wait_s"),
    [
        pytest.param(1, 0.0, 1.0, id="no interval is a second"),
        pytest.param(3, 30.0, 120.0, id="doubled twice"),
        pytest.param(10_000, 30.0, 3_600.0, id="an hour at most"),
        pytest.param(5, 7_200.0, 7_200.0, id="never sooner than the interval"),
    ],
)
def test_wait_after_a_refusal(refusals: int, interval_s: float, wait_s: float) -> None:
    assert refusal_wait_s(refusals, interval_s) == wait_s


def test_receiver_that_takes_it_again_is_told_and_repeats_count_from_then() -> None:
    play = refusing()
    play.until(10)
    play.refusing.clear()
    play.until(3_700)

    assert play.told == ["30 chat: A fires", "3630 chat: A fires"]


def test_nothing_is_sent_when_it_ended_before_anybody_knew() -> None:
    play = refusing()
    play.until(10)
    play.refusing.clear()
    play.end("A")
    play.until(100_000)

    assert play.told == []
    assert len(play.refused) == 1
    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


def test_reload_tries_again_at_once_and_begins_the_waits_anew() -> None:
    play = refusing()
    play.until(1_000)
    play.refused.clear()
    play.reload(AT_ONCE)
    play.until(1_100)

    assert play.refused == ["1000 chat: A fires", "1030 chat: A fires", "1090 chat: A fires"]


def test_what_is_refused_goes_with_the_next_message_of_its_group() -> None:
    play = refusing()
    play.until(10)
    play.refusing.clear()
    play.second = 31  # the clock jumped: A is due for its retry when B comes
    play.fire("B")
    play.until(200)

    assert play.told == ["31 chat: A fires, B fires"]


def test_refused_repeat_leaves_the_receiver_knowing_that_it_fires() -> None:
    play = Play(AT_ONCE)
    play.fire("A")
    play.refusing = {"chat"}
    play.until(3_610)
    play.refusing = set()
    play.end("A")
    play.until(3_700)

    assert play.refused == ["3600 chat: A fires"]
    assert play.told == ["0 chat: A fires", "3630 chat: A over"]


def test_end_that_is_refused_is_tried_again_until_it_is_taken() -> None:
    play = Play(AT_ONCE)
    play.fire("A")
    play.until(100)
    play.refusing = {"chat"}
    play.end("A")
    play.until(150)
    play.refusing = set()
    play.until(1_000)

    assert play.refused == ["100 chat: A over", "130 chat: A over"]
    assert play.told == ["0 chat: A fires", "190 chat: A over"]
    assert play.ledger.entries == {}


def test_end_that_is_refused_expires_after_a_day() -> None:
    play = Play(AT_ONCE)
    play.fire("A")
    play.until(100)
    play.refusing = {"chat"}
    play.end("A")
    play.until(86_100)
    assert play.ledger.entries
    play.until(100 + 86_400 + 3_600)
    play.refusing = set()
    play.until(200_000)

    assert play.told == ["0 chat: A fires"]
    assert play.why[-1].endswith("A chat end_expired")
    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


def test_refusal_of_one_channel_says_nothing_about_another() -> None:
    play = Play(replace(AT_ONCE, channels=("chat", "phone")), refusing={"chat"})
    play.fire("A")
    play.until(10)
    play.end("A")
    play.until(100)

    assert play.told == ["0 phone: A fires", "30 phone: A over"]


def test_refused_escalation_is_tried_again() -> None:
    play = Play(replace(AT_ONCE, escalations=(Escalation(600, ("phone",)),)), refusing={"phone"})
    play.fire("A")
    play.until(610)
    play.refusing = set()
    play.until(700)

    assert (play.refused, play.told[1:]) == (["600 phone: A fires"], ["630 phone: A fires"])


def test_rise_in_severity_is_not_kept_waiting_by_a_refusal() -> None:
    play = Play(AT_ONCE)
    play.fire("A")
    play.refusing = {"chat"}
    play.until(3_605)  # a repeat was refused
    play.refusing = set()
    play.fire("A", level="critical")

    assert play.told[-1] == "3605 chat: A fires, A fires"


def test_what_a_refused_message_only_showed_is_not_sent_again() -> None:
    play = Play(AT_ONCE)
    play.fire("A")
    play.until(100)
    play.refusing = {"chat"}
    play.fire("B")
    play.end("B")
    play.refusing = set()
    play.until(3_500)

    assert play.refused == ["100 chat: A fires, B fires"]
    assert play.told == ["0 chat: A fires"]


def test_end_of_a_silence_that_was_refused_is_tried_again() -> None:
    play = Play(AT_ONCE)
    play.fire("A")
    play.until(50)
    play.muted = lambda _: Muted("silence s", WALL_S + 100)
    play.look(at_all=True)
    play.muted, play.refusing = never, {"chat"}
    play.until(105)
    play.refusing = set()
    play.until(1_000)

    assert play.refused == ["100 chat: A fires"]
    assert play.told == ["0 chat: A fires", "130 chat: A fires"]
