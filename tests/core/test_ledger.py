"""Who hears what when the configuration changes: the table of the ledger, cell by cell, and drawn against a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sergas.core.delivery import Receiver
from pytest_sergas.core.routes import Escalation, Route, Router, read_matcher
from tests.core.played import ROUTE, Play, at, labels

pytestmark = pytest.mark.unit

CHAT = replace(ROUTE, group_wait_s=0, group_interval_s=0, cooldown_s=0)
NEW = replace(CHAT, channels=("phone",))
OTHERS = replace(CHAT, matchers=(read_matcher("severity=critical"),), channels=("phone",))

# before: never sent, under way, taken, refused, end owed, end refused


def never_sent() -> Play:
    play = Play(replace(CHAT, group_wait_s=60))
    play.fire("A")
    return play


def under_way() -> Play:
    play = Play(CHAT)
    play.wire.slow = {"chat"}
    play.fire("A")
    return play


def taken() -> Play:
    play = Play(CHAT)
    play.fire("A")
    return play


def refused() -> Play:
    play = Play(CHAT, refusing={"chat"})
    play.fire("A")
    return play


def end_owed() -> Play:
    play = Play(replace(CHAT, group_interval_s=60))
    play.fire("A")
    play.until(5)
    play.end("A")
    return play


def end_refused() -> Play:
    play = Play(CHAT)
    play.fire("A")
    play.until(5)
    play.refusing = {"chat"}
    play.end("A")
    return play


# change


def still_routed(play: Play) -> None:
    play.reload(OTHERS, replace(CHAT, name="renamed"))


def no_longer_routed(play: Play) -> None:
    play.reload(replace(CHAT, channels=()))


def newly_routed(play: Play) -> None:
    play.reload(replace(CHAT, channels=("chat", "phone")))


def channel_removed(play: Play) -> None:
    play.reload(replace(CHAT, channels=()), without=("chat",))


def channel_renamed(play: Play) -> None:
    play.receivers = {**play.receivers, "talk": Receiver("talk")}
    play.reload(replace(CHAT, channels=("talk",)), without=("chat",))


def alert_gone(play: Play) -> None:
    play.end("A")


FIRES, OVER = "chat: A fires", "chat: A over"
BOTH = [FIRES, OVER]


@pytest.mark.parametrize(
    ("before", "change", "heard"),
    [
        pytest.param(never_sent, still_routed, BOTH, id="never sent, still routed"),
        pytest.param(never_sent, no_longer_routed, [], id="never sent, no longer routed"),
        pytest.param(
            never_sent, newly_routed, [FIRES, "phone: A fires", OVER, "phone: A over"], id="never sent, newly routed"
        ),
        pytest.param(never_sent, channel_removed, [], id="never sent, channel removed"),
        pytest.param(never_sent, channel_renamed, ["talk: A fires", "talk: A over"], id="never sent, channel renamed"),
        pytest.param(never_sent, alert_gone, [], id="never sent, alert gone"),
        pytest.param(under_way, still_routed, BOTH, id="under way, still routed"),
        pytest.param(under_way, no_longer_routed, [], id="under way, no longer routed"),
        pytest.param(
            under_way, newly_routed, ["phone: A fires", FIRES, OVER, "phone: A over"], id="under way, newly routed"
        ),
        pytest.param(under_way, channel_removed, [], id="under way, channel removed"),
        pytest.param(under_way, channel_renamed, ["talk: A fires", "talk: A over"], id="under way, channel renamed"),
        pytest.param(under_way, alert_gone, BOTH, id="under way, alert gone"),
        pytest.param(taken, still_routed, BOTH, id="taken, still routed"),
        pytest.param(taken, no_longer_routed, BOTH, id="taken, no longer routed"),
        pytest.param(taken, newly_routed, [FIRES, "phone: A fires", OVER, "phone: A over"], id="taken, newly routed"),
        pytest.param(taken, channel_removed, [FIRES], id="taken, channel removed"),
        pytest.param(taken, channel_renamed, [FIRES, "talk: A fires", "talk: A over"], id="taken, channel renamed"),
        pytest.param(taken, alert_gone, BOTH, id="taken, alert gone"),
        pytest.param(refused, still_routed, BOTH, id="refused, still routed"),
        pytest.param(refused, no_longer_routed, [], id="refused, no longer routed"),
        pytest.param(
            refused, newly_routed, [FIRES, "phone: A fires", OVER, "phone: A over"], id="refused, newly routed"
        ),
        pytest.param(refused, channel_removed, [], id="refused, channel removed"),
        pytest.param(refused, channel_renamed, ["talk: A fires", "talk: A over"], id="refused, channel renamed"),
        pytest.param(refused, alert_gone, [], id="refused, alert gone"),
        pytest.param(end_owed, still_routed, BOTH, id="end owed, still routed"),
        pytest.param(end_owed, no_longer_routed, BOTH, id="end owed, no longer routed"),
        pytest.param(end_owed, newly_routed, BOTH, id="end owed, newly routed"),
        pytest.param(end_owed, channel_removed, [FIRES], id="end owed, channel removed"),
        pytest.param(end_owed, channel_renamed, [FIRES], id="end owed, channel renamed"),
        pytest.param(end_owed, alert_gone, BOTH, id="end owed, alert gone"),
        pytest.param(end_refused, still_routed, BOTH, id="end refused, still routed"),
        pytest.param(end_refused, no_longer_routed, BOTH, id="end refused, no longer routed"),
        pytest.param(end_refused, newly_routed, BOTH, id="end refused, newly routed"),
        pytest.param(end_refused, channel_removed, [FIRES], id="end refused, channel removed"),
        pytest.param(end_refused, channel_renamed, [FIRES], id="end refused, channel renamed"),
        pytest.param(end_refused, alert_gone, BOTH, id="end refused, alert gone"),
    ],
)
def test_who_hears_what(before: Callable[[], Play], change: Callable[[Play], None], heard: list[str]) -> None:
    play = before()
    play.until(10)
    play.refusing = set()
    change(play)
    play.until(100)
    play.hurry()
    play.until(200)
    if any(entry.is_firing for entry in play.ledger.entries.values()):
        play.end("A")
    play.until(400)

    assert [line.partition(" ")[2] for line in play.told] == heard
    assert (play.ledger.entries, play.ledger.groups) == ({}, {})


def test_end_bears_the_key_of_the_group_in_which_it_began() -> None:
    play = taken()
    play.reload(NEW)
    play.end("A")

    chat = [one for one in play.got if one.receiver == "chat"]
    assert len(chat) == 2
    assert {(one.group_key, one.group_labels) for one in chat} == {("{}:{}", ())}


def test_group_is_known_by_its_matchers_and_labels_wherever_the_route_stands() -> None:
    route = Route("7", (read_matcher("b=2"), read_matcher('a=~"x|y"')), ("chat",), group_by=("job",))
    same = replace(route, name="other", matchers=route.matchers[::-1], goes_on=True)

    assert route.group_key((("job", "shop"),)) == '{a=~"x|y",b="2"}:{job="shop"}'
    assert (same.content, same.group_key(())) == (route.content, route.group_key(()))


def test_alert_that_ended_while_its_message_was_in_hands_that_no_route_names_is_ended_there() -> None:
    play = under_way()
    play.reload(replace(CHAT, channels=()))
    [message], play.wire.waiting = play.wire.waiting, []
    play.wire.slow = set()
    play.end("A")
    play.ledger.taken("chat", message, at(play.second))
    play.until(100)

    assert play.told == ["0 chat: A over"]


# Drawn against a model

CHANNELS = ("a", "b", "c")
NAMES = ("X", "Y")
MATCHERS = st.lists(st.sampled_from(["alertname=X", "alertname=Y", "severity=critical", "severity!=info"]), max_size=1)
ROUTES = st.lists(
    st.builds(
        Route,
        st.just("?"),
        MATCHERS.map(lambda texts: tuple(read_matcher(text) for text in texts)),
        st.sets(st.sampled_from(CHANNELS), max_size=2).map(lambda names: tuple(sorted(names))),
        st.sampled_from([(), ("alertname",)]),
        st.sampled_from([0.0, 5.0]),
        st.sampled_from([0.0, 10.0]),
        st.just(1e9),
        st.just(0.0),
        st.just(()),
        st.booleans(),
    ),
    max_size=4,
).map(lambda routes: tuple(replace(route, name=str(number)) for number, route in enumerate(routes)))
RENAMED = st.permutations(range(9)).map(lambda order: tuple(f"n{number}" for number in order))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fire"), st.sampled_from(NAMES), st.sampled_from(["warning", "critical"])),
        st.tuples(st.just("end"), st.sampled_from(NAMES), st.sampled_from(["warning", "critical"])),
        st.tuples(st.just("reload"), ROUTES, st.sets(st.sampled_from(CHANNELS), min_size=1)),
        st.tuples(st.just("rename"), RENAMED, st.none()),
        st.tuples(st.just("refuse"), st.sets(st.sampled_from(CHANNELS)), st.none()),
    ),
    max_size=30,
)


class Model:
    """What each channel should know: it is told what is routed to it, and then the end, as long as it is there."""

    def __init__(self) -> None:
        self.firing: set[tuple[str, str]] = set()
        self.known: set[tuple[str, str, str]] = set()
        self.told: list[tuple[str, str, str, str]] = []
        self.routes: tuple[Route, ...] = ()
        self.there: set[str] = set(CHANNELS)
        self.refusing: set[str] = set()

    def settle(self) -> None:
        """Have everybody told who is to be told, and takes it."""
        self.known = {one for one in self.known if one[0] in self.there}
        for name, level in self.firing:
            for route in Router(self.routes).find(labels(name, level)):
                for channel in route.channels:
                    if channel in self.there - self.refusing and (channel, name, level) not in self.known:
                        self.known.add((channel, name, level))
                        self.told.append((channel, name, level, "firing"))
        for channel, name, level in sorted(self.known):
            if (name, level) not in self.firing and channel not in self.refusing:
                self.known.remove((channel, name, level))
                self.told.append((channel, name, level, "resolved"))


def stories(told: Sequence[tuple[str, str, str, str]]) -> dict[tuple[str, str, str], list[str]]:
    """Return channel and alert → what the channel heard of it, in order."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for *key, status in told:
        found.setdefault((key[0], key[1], key[2]), []).append(status)
    return found


@settings(max_examples=200, deadline=None)
@given(ROUTES, STEPS)
def test_everybody_hears_what_is_theirs_once_whatever_changes(
    routes: tuple[Route, ...], steps: list[tuple[str, object, object]]
) -> None:
    model, play = Model(), Play(receivers={name: Receiver(name) for name in CHANNELS})
    model.routes = tuple(replace(route, channels=route.channels) for route in routes)
    play.reload(*model.routes)
    for kind, first, second in steps:
        if kind == "fire" and (first, second) not in model.firing:
            model.firing.add((str(first), str(second)))
            play.fire(str(first), level=str(second))
        elif kind == "end" and (first, second) in model.firing:
            model.firing.discard((str(first), str(second)))
            play.end(str(first), level=str(second))
        elif kind == "reload":
            assert isinstance(first, tuple)
            assert isinstance(second, set)
            model.there = second
            model.routes = tuple(
                replace(route, channels=tuple(name for name in route.channels if name in second)) for route in first
            )
            play.receivers = {name: Receiver(name) for name in sorted(second)}
            play.reload(*model.routes)
        elif kind == "rename":
            assert isinstance(first, tuple)
            model.routes = tuple(replace(route, name=name) for route, name in zip(model.routes, first, strict=False))
            play.reload(*model.routes)
        elif kind == "refuse":
            assert isinstance(first, set)
            model.refusing = play.refusing = first
        play.until(play.second + 7_300)  # longer than any wait
        model.settle()

    assert stories(play.stories) == stories(model.told)


@settings(max_examples=100, deadline=None)
@given(ROUTES, st.data())
def test_names_and_reloads_alone_notify_nobody(routes: tuple[Route, ...], data: st.DataObject) -> None:
    play = Play(receivers={name: Receiver(name) for name in CHANNELS})
    play.reload(*routes)
    for name in NAMES:
        play.fire(name)
    play.until(100)
    before = list(play.told)
    for _ in range(3):
        names = data.draw(RENAMED)
        play.reload(*(replace(route, name=name) for route, name in zip(routes, names, strict=False)))
        play.until(play.second + 100)

    assert play.told == before


def test_route_inserted_before_others_notifies_only_whom_it_matches() -> None:
    play = taken()
    play.reload(OTHERS, CHAT)
    play.fire("B", level="critical")
    play.end("A")

    assert [line.partition(" ")[2] for line in play.told] == [FIRES, "phone: B fires", OVER]


def test_escalation_that_is_taken_away_leaves_its_channel_with_the_end_alone() -> None:
    play = Play(replace(CHAT, escalations=(Escalation(10, ("phone",)),)))
    play.fire("A")
    play.until(20)
    play.reload(CHAT)
    play.until(10_000)
    play.end("A")

    assert [line for line in play.told if "phone" in line] == ["10 phone: A fires", "10000 phone: A over"]
