"""Alerting on a real store: from an evaluation to a receiver, through outages, restarts, silences and full disks."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.routes import RoutesSettings
from pytest_sergas.core import pacing
from pytest_sergas.core.alerts import Active, Alert, Evaluation, State
from pytest_sergas.core.routes import Route, read_matcher
from pytest_sergas.core.silences import DAYS, Silence, Window
from pytest_sergas.engine import alerting as module
from pytest_sergas.engine import outbox
from pytest_sergas.engine.alert_history import Asked
from pytest_sergas.engine.alerting import Alerting, SilenceRefusedError, plan
from pytest_sergas.engine.outbox import FROM_MEMORY
from pytest_sergas.errors import ConfigurationError, FinalError, TemporaryError
from tests.engine.alerted import AT_ONCE, Clock, Receiver, alerting, answered, found, labels, planned

pytestmark = pytest.mark.integration


def value(running: Alerting, clock: Clock, name: str, **wanted: str) -> float:
    [family] = [family for family in running.families(clock()) if family.name == name]
    return next(sample.value for sample in family.samples if sample.labels == tuple(wanted.items()))


async def test_alert_reaches_its_channel_once_and_its_end_as_well(path: Path, clock: Clock) -> None:
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        begun = await running.took_place([found(clock(), "A")])
        await running.took_place([found(clock(), "A")])
        clock.pass_by(60)
        ended = await running.took_place([found(clock())])
        await chat.until(2)

    assert chat.told() == ["A fires", "A over"]
    assert [alert.name for alert in begun] == ["A"]
    assert ended == ()
    first, last = chat.got
    assert first.key != last.key
    assert (first.group_key, first.external_url) == (last.group_key, "https://sergas.example.org")


async def test_pending_alert_is_nobody_elses_business(clock: Clock) -> None:
    chat = Receiver()
    pending = replace(found(clock(), "A"), for_s=60)
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([pending])

        assert [alert.state for alert in running.alerts()] == [State.PENDING]
        assert running.counts() == {"total_active": 0, "by_level": {}, "by_source": {}}
    assert chat.got == []


async def test_for_goes_on_across_a_restart(path: Path, clock: Clock) -> None:
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([replace(found(clock(), "A"), for_s=60)])
    clock.pass_by(60)
    clock.monotonic_s = 5.0  # another boot
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([replace(found(clock(), "A"), for_s=60)])
        await chat.until(1)

    assert chat.told() == ["A fires"]


async def test_restart_tells_nothing_again_and_forgets_no_end(path: Path, clock: Clock) -> None:
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([replace(found(clock()), covered=False)])
        assert [alert.state for alert in running.alerts()] == [State.FIRING]
        await running.took_place([found(clock())])
        await chat.until(2)

    assert chat.told() == ["A fires", "A over"]


async def test_alerts_within_the_wait_are_told_after_a_restart(path: Path, clock: Clock) -> None:
    chat = Receiver()
    waiting = planned(chat, routes=[replace(AT_ONCE, group_wait_s=0.05)])
    async with alerting(path, planned(chat, routes=[replace(AT_ONCE, group_wait_s=600)]), clock) as running:
        await running.took_place([found(clock(), "A", "B")])
    async with alerting(path, waiting, clock):
        clock.pass_by(1)
        await chat.until(1)

    assert chat.told() == ["A fires, B fires"]


# Outages


async def test_temporary_failure_is_tried_again_with_the_same_key(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "retry_s", lambda *_: 0.0)
    chat = Receiver(answers=[TemporaryError("500"), TemporaryError("500")])
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)

        assert chat.attempts == 3
        assert chat.told() == ["A fires"]
        assert value(running, clock, "sergas_notifications_total", channel="chat", result="retried") == 2


async def test_final_failure_is_not_tried_again_and_stands_in_the_history(clock: Clock) -> None:
    chat = Receiver(answers=[FinalError("400: no such channel")])
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await running.took_place([found(clock(), "A", "B")])
        await chat.until(1)
        events = await running.history.newest(Asked(100, name="A"))

    assert chat.told() == ["A fires, B fires"]
    [told] = [event for event in events if event.event == "told"]
    assert told.delivery is not None
    assert (told.channel, told.why) == ("chat", "new")
    assert (told.delivery.state, told.delivery.attempts) == ("failed", 1)
    assert told.delivery.result == "400: no such channel"


async def test_channel_that_hangs_delays_no_other(clock: Clock) -> None:
    hanging, quick = Receiver("hanging", gate=asyncio.Event()), Receiver("quick")
    route = replace(AT_ONCE, channels=("hanging", "quick"))
    async with alerting(None, planned(hanging, quick, routes=[route]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await quick.until(1)

        assert hanging.attempts == 1
        assert value(running, clock, "sergas_notifications_waiting", channel="hanging") == 1


async def test_what_waits_for_a_channel_that_is_down_survives_a_restart(path: Path, clock: Clock) -> None:
    down, chat = Receiver(answers=[TemporaryError("down", 3600)]), Receiver()
    async with alerting(path, planned(down), clock) as running:
        await running.took_place([found(clock(), "A")])
        await down.when(lambda: down.attempts == 1)
        await running.took_place([found(clock())])
    async with alerting(path, planned(chat), clock):
        await chat.until(2)

    assert chat.told() == ["A fires", "A over"]


async def test_what_was_tried_for_a_day_is_given_up_and_says_so(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    chat = Receiver(answers=[TemporaryError("500")], gate=asyncio.Event())
    assert chat.gate is not None
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.when(lambda: chat.attempts == 1)
        clock.pass_by(86_401)
        chat.gate.set()
        await answered(running, clock)
        clock.pass_by(1)
        await running.took_place([found(clock(), "A")])
        await chat.until(1)

    assert chat.told() == ["A fires"]  # what still fires is owed all the same
    assert "channel chat: a notification about 1 alert was not delivered: given up after a day: 500" in caplog.text


async def test_channel_that_is_gone_from_the_configuration_has_failed(path: Path, clock: Clock) -> None:
    down = Receiver(answers=[TemporaryError("down", 3600)])
    async with alerting(path, planned(down), clock) as running:
        await running.took_place([found(clock(), "A")])
        await down.when(lambda: down.attempts == 1)
    async with alerting(
        path, planned(Receiver("other"), routes=[replace(AT_ONCE, channels=("other",))]), clock
    ) as running:
        events = await running.history.newest(Asked(100, channel="chat"))

    assert [event.delivery.result for event in events if event.delivery] == [
        "the channel is not in the configuration any more"
    ]


async def test_channel_that_is_configured_anew_keeps_what_waits_for_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def in_an_hour(attempts: int, jitter: float, retry_after_s: float | None) -> float:
        del attempts, jitter, retry_after_s
        waits.append(3600.0)
        return 3600.0

    monkeypatch.setattr(outbox, "retry_s", in_an_hour)
    down, chat = Receiver(answers=[TemporaryError("moved")]), Receiver()
    async with alerting(None, planned(down), clock) as running:
        await running.took_place([found(clock(), "A")])
        await down.when(lambda: bool(waits))
        await running.took_place([found(clock(), "A")])  # by then it waits
        running.follow(planned(chat))
        await chat.until(1)  # at once, and not in an hour

    assert chat.told() == ["A fires"]
    assert down.attempts == 1


# The cap


async def test_cap_holds_back_and_one_summary_says_how_many(clock: Clock) -> None:
    chat = Receiver()
    route = replace(AT_ONCE, group_by=("alertname",))
    names = [f"A{number:02}" for number in range(25)]
    async with alerting(None, planned(chat, routes=[route]), clock) as running:
        await running.took_place([found(clock(), *names)])
        await chat.until(10)
        assert value(running, clock, "sergas_notifications_held", channel="chat") == 15
        clock.pass_by(60)
        await running.took_place([found(clock(), *names)])
        await chat.until(11)

    assert [notification.held_back for notification in chat.got] == [0] * 10 + [15]
    assert sorted(alert.name for one in chat.got for alert in one.alerts) == names


async def test_what_was_held_back_is_sent_after_a_restart(path: Path, clock: Clock) -> None:
    chat, after = Receiver(), Receiver()
    route = replace(AT_ONCE, group_by=("alertname",))
    async with alerting(path, planned(chat, routes=[route]), clock) as running:
        await running.took_place([found(clock(), *(f"A{number}" for number in range(12)))])
        await chat.until(10)
    async with alerting(path, planned(after, routes=[route]), clock):
        await after.until(2)

    told = [alert.name for one in (*chat.got, *after.got) for alert in one.alerts]
    assert sorted(told) == sorted(f"A{number}" for number in range(12))


async def test_channel_that_comes_back_gets_a_summary_of_what_was_held_back_meanwhile(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BACKLOG", 1)
    monkeypatch.setattr(pacing, "BACKLOG", 1)
    chat = Receiver(gate=asyncio.Event())
    assert chat.gate is not None
    each = replace(AT_ONCE, group_by=("alertname",))
    async with alerting(None, planned(chat, routes=[each]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await running.took_place([found(clock(), "A", "B")])
        await running.took_place([found(clock(), "A", "B", "C")])
        await running.took_place([found(clock(), "B", "C")])
        chat.gate.set()
        await chat.until(2)
        assert value(running, clock, "sergas_alerts_not_told_total", reason="channel_is_down") == 2

    assert chat.told() == ["A fires", "B fires, C fires, A over"]
    assert [one.held_back for one in chat.got] == [0, 2]


async def test_critical_alert_passes_the_cap(clock: Clock) -> None:
    chat = Receiver()
    route = replace(AT_ONCE, group_by=("alertname",))
    async with alerting(None, planned(chat, routes=[route]), clock) as running:
        await running.took_place([found(clock(), *(f"A{number}" for number in range(12)))])
        await running.took_place([found(clock(), labels("Fire", "critical"), rule="other")])
        await chat.until(11)

    assert "Fire fires" in chat.told()


async def test_ten_thousand_alerts_at_once_are_a_few_messages_and_none_is_lost(path: Path, clock: Clock) -> None:
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        many = [labels("Full", disk=f"{number:05}") for number in range(10_000)]
        await running.took_place([found(clock(), *many)])
        await chat.until(10)

    assert [len(notification.alerts) for notification in chat.got] == [1000] * 10
    assert {alert.labels for notification in chat.got for alert in notification.alerts} == set(many)


# Routes and silences


async def test_alert_without_a_route_is_in_the_history_with_the_reason(clock: Clock) -> None:
    only_smoke = replace(AT_ONCE, matchers=(read_matcher("type=smoke"),))
    async with alerting(None, planned(Receiver(), routes=[only_smoke]), clock) as running:
        await running.took_place([found(clock(), "A")])
        events = await running.history.newest(Asked(10))

        assert [(event.event, event.why) for event in events] == [
            ("not_told", "no_route"),
            ("firing", "condition_true"),
        ]
        assert value(running, clock, "sergas_alerts_not_told_total", reason="no_route") == 1


async def test_silence_keeps_quiet_until_it_is_taken_away(path: Path, clock: Clock) -> None:
    chat = Receiver()
    silence = Silence("s1", (read_matcher("alertname=A"),), clock.wall_s, clock.wall_s + 3600, "me", "known")
    async with alerting(path, planned(chat), clock) as running:
        await running.silence(silence)
        [*_] = await running.took_place([found(clock(), "A", "B")])
        await chat.until(1)
        assert running.muted(running.alerts()[0], clock()) == "silence s1"
    async with alerting(path, planned(chat), clock) as running:  # a silence survives a restart
        assert running.silences() == [silence]
        assert value(running, clock, "sergas_silences") == 1
        await running.unsilence("s1")
        await chat.until(2)
        events = await running.history.newest(Asked(10, name="A"))

    assert chat.told() == ["B fires", "A fires, B fires"]
    assert [(event.why, event.detail) for event in events if event.event == "not_told"] == [("silenced", "silence s1")]


async def test_silence_stays_in_force_when_the_wall_clock_is_set_back(path: Path, clock: Clock) -> None:
    chat = Receiver()
    silence = Silence("s1", (read_matcher("alertname=A"),), clock.wall_s, clock.wall_s + 3600)
    async with alerting(path, planned(chat), clock) as running:
        await running.silence(silence)
        clock.wall_s -= 86_400
        await running.took_place([found(clock(), "A", "B")])
        await chat.until(1)
        assert value(running, clock, "sergas_silences") == 1
    async with alerting(path, planned(chat), clock) as running:  # and after a restart
        assert running.muted(running.alerts()[0], clock()) == "silence s1"

    assert chat.told() == ["B fires"]


async def test_maintenance_window_keeps_quiet(clock: Clock) -> None:
    chat = Receiver()
    always = Window("always", (read_matcher("alertname=A"),), DAYS, 0.0, 0.0, "Europe/Berlin")
    async with alerting(None, planned(chat, windows=[always]), clock) as running:
        await running.took_place([found(clock(), "A", "B")])
        await chat.until(1)
        assert running.muted(running.alerts()[0], clock()) == "maintenance always"

    assert chat.told() == ["B fires"]


async def test_silences_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCES_LIMIT", 1)
    async with alerting(None, planned(Receiver()), clock) as running:
        await running.silence(Silence("a", (), 0, clock.wall_s + 1))
        await running.silence(Silence("a", (), 0, clock.wall_s + 2))
        with pytest.raises(SilenceRefusedError) as caught:
            await running.silence(Silence("b", (), 0, clock.wall_s + 1))

    assert str(caught.value) == "there are 1 silences, the most that are kept; end some first"


async def test_silence_that_ended_long_ago_is_forgotten(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, planned(chat), clock) as running:
        await running.silence(Silence("a", (read_matcher("alertname=Z"),), 0, clock.wall_s + 1))
        clock.pass_by(module.SILENCES_KEPT_S + 2)
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
        # The turn of alerting that sent it began with forgetting.
        await asyncio.sleep(0)
        await running.took_place([found(clock())])
        await chat.until(2)

        assert running.silences() == []
        assert await running.unsilence("a") is False


async def test_alert_of_a_route_that_is_gone_still_ends(clock: Clock) -> None:
    chat, mail = Receiver(), Receiver("mail")
    async with alerting(None, planned(chat, mail), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
        running.follow(planned(chat, mail, routes=[replace(AT_ONCE, name="new", channels=("mail",))]))
        await mail.until(1)
        await running.took_place([found(clock())])
        await chat.until(2)
        await mail.until(2)

    assert chat.told() == mail.told() == ["A fires", "A over"]


async def test_alert_comes_to_the_routes_that_are_new_after_a_restart(path: Path, clock: Clock) -> None:
    chat, mail = Receiver(), Receiver("mail")
    async with alerting(path, planned(chat, mail), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
    route = replace(AT_ONCE, name="new", channels=("mail",))
    async with alerting(path, planned(chat, mail, routes=[route]), clock) as running:
        await mail.until(1)
        await running.took_place([found(clock())])
        await chat.until(2)
        await mail.until(2)

    assert chat.told() == mail.told() == ["A fires", "A over"]


async def test_rules_that_are_gone_end_their_alerts(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A", rule="old"), found(clock(), "B", rule="kept")])
        await running.keep_rules(frozenset({"kept"}))
        await chat.until(2)

    assert chat.told() == ["A fires, B fires", "B fires, A over"]
    assert chat.got[1].resolved[0].reason == "rule_gone"


async def test_alert_of_two_rules_ends_when_both_say_so(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A", rule="one"), found(clock(), "A", rule="two")])
        await running.took_place([found(clock(), rule="one")])
        await running.took_place([found(clock(), "A", rule="two"), found(clock(), "B", rule="three")])
        await chat.until(2)
        await running.took_place([found(clock(), rule="two")])
        await chat.until(3)

    assert chat.told() == ["A fires", "A fires, B fires", "B fires, A over"]


async def test_receiver_that_forgets_is_not_told_again_while_it_is_down(clock: Clock) -> None:
    manager = Receiver(resend_s=60, answers=[TemporaryError("down", 3600)])
    async with alerting(None, planned(manager), clock) as running:
        await running.took_place([found(clock(), "A")])
        await manager.when(lambda: manager.attempts == 1)
        for _ in range(3):
            clock.pass_by(61)
            await running.took_place([found(clock(), "A")])

        assert value(running, clock, "sergas_notifications_waiting", channel="chat") == 1


async def test_repeat_tells_the_value_of_now(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, planned(chat, routes=[replace(AT_ONCE, repeat_interval_s=60)]), clock) as running:
        await running.took_place([found(clock(), "A")])
        await chat.until(1)
        clock.pass_by(61)
        worse = Active(labels("A"), 99.0, (("summary", "worse"),))
        await running.took_place([Evaluation("rule", clock(), (worse,))])
        await chat.until(2)

    assert [(one.alerts[0].value, one.alerts[0].annotations) for one in chat.got] == [
        (1.0, ()),
        (99.0, (("summary", "worse"),)),
    ]


# Counts


async def test_counts_are_those_of_what_fires(clock: Clock) -> None:
    async with alerting(None, planned(Receiver()), clock) as running:
        await running.took_place([found(clock(), "A", labels("B", "critical"), labels("C", "critical"))])

        assert running.counts() == {
            "total_active": 3,
            "by_level": {"critical": 2, "warning": 1},
            "by_source": {"tests": 3},
        }
        assert value(running, clock, "sergas_alerts", state="firing", level="critical") == 2
        assert value(running, clock, "sergas_alert_transitions_total", state="firing") == 3
        assert [alert.name for alert in running.alerts()] == ["B", "C", "A"]


# A store that cannot be written


async def test_full_store_is_told_from_memory_and_caught_up_with_later(path: Path, clock: Clock) -> None:
    chat = Receiver()
    async with alerting(path, planned(chat), clock) as running:
        writer = running._store._writer  # noqa: SLF001  a limit that is reached at once; no setting is that small
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        many = [labels("Full", disk=f"{number:05}") for number in range(500)]
        await running.took_place([found(clock(), *many)])
        await chat.until(1)
        assert value(running, clock, "sergas_alerting_from_memory") == 1
        writer.execute("PRAGMA max_page_count = 1000000")
        await running.took_place([found(clock())])
        await chat.until(2)
        assert value(running, clock, "sergas_alerting_from_memory") == 0
        await running.keep_rules(frozenset())
        events = await running.history.newest(Asked(1, name="Full"))

    assert [notification.note for notification in chat.got] == [FROM_MEMORY, ""]
    assert [len(notification.alerts) for notification in chat.got] == [500, 500]
    assert events[0].event == "told"
    async with alerting(path, planned(after := Receiver()), clock) as running:
        assert running.alerts() == []
    assert after.got == []


# Plans


def test_plan_without_routes_tells_every_channel(tmp_path: Path) -> None:
    channels = ChannelsSettings(channels=(ChannelSettings("log", "a"), ChannelSettings("log", "b")))
    made = plan(channels, RoutesSettings(alert_cooldown=7), tmp_path, "")

    assert made.routes == (Route(channels=("a", "b"), cooldown_s=7),)


@pytest.mark.parametrize(
    ("channels", "hint"),
    [
        pytest.param(("chat",), "did you mean 'chat'?", id="near"),
        pytest.param(("mail", "log"), "there are: 'mail', 'log'", id="others"),
        pytest.param((), "[[channels]] makes one", id="none"),
    ],
)
def test_route_to_a_channel_that_is_not_there_is_refused(tmp_path: Path, channels: tuple[str, ...], hint: str) -> None:
    settings = ChannelsSettings(channels=tuple(ChannelSettings("log", name) for name in channels))
    with pytest.raises(ConfigurationError) as caught:
        plan(settings, RoutesSettings(routes=(Route("smoke", channels=("chta",)),)), tmp_path, "")

    assert caught.value.faults == (f"routes.smoke: channels = 'chta': there is no channel of that name; {hint}",)


async def test_evaluation_that_failed_keeps_the_alert(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, planned(chat), clock) as running:
        await running.took_place([found(clock(), "A")])
        await running.took_place([Evaluation("rule", clock(), (), error="many-to-many matching")])
        await chat.until(1)

        assert [alert.name for alert in running.alerts()] == ["A"]
    assert chat.told() == ["A fires"]


async def test_labels_of_any_kind_come_through_whole(path: Path, clock: Clock) -> None:
    wild = labels("A", text="a\r\nb: c <script> \x00 \"'", long="x" * 100_000, unicode="größe ✓")
    chat, after = Receiver(answers=[TemporaryError("down", 3600)]), Receiver()
    async with alerting(path, planned(chat), clock) as running:
        await running.took_place([Evaluation("r", clock(), (Active(wild, float("nan"), (("a", "\n"),)),))])
        await chat.when(lambda: chat.attempts == 1)
    async with alerting(path, planned(after), clock):
        await after.until(1)

    assert after.got[0].alerts[0].labels == wild


async def test_silence_that_the_store_does_not_have_says_so(path: Path, clock: Clock) -> None:
    silence = Silence("s1", (read_matcher("alertname=A"),), clock.wall_s, clock.wall_s + 3600)
    async with alerting(path, planned(Receiver()), clock) as running:
        store = running._store  # noqa: SLF001  what root cannot be denied by the file's mode
        store._writer.execute("PRAGMA query_only = ON")  # noqa: SLF001
        await running.silence(silence)
        assert running.muted(found_alert(clock), clock()) == "silence s1"
        assert not running.keeps_silence("s1")
        store._writer.execute("PRAGMA query_only = OFF")  # noqa: SLF001
        await running.silence(replace(silence, comment="again"))
        assert running.keeps_silence("s1")
        store._writer.execute("PRAGMA query_only = ON")  # noqa: SLF001
        await running.unsilence("s1")
        assert not running.keeps_silence("s1")  # its end
        store._writer.execute("PRAGMA query_only = OFF")  # noqa: SLF001
    async with alerting(None, planned(Receiver()), clock) as running:
        await running.silence(silence)
        assert not running.keeps_silence("s1")


def found_alert(clock: Clock) -> Alert:
    return Alert("r", (("alertname", "A"),), 1.0, (), State.FIRING, clock())
