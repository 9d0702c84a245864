"""What a channel's settings say, down to the engine: its cap, one that is changed, and whether it is told of ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sergas.config import load_sections
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.config.file import read_file
from pytest_sergas.engine.alert_history import Asked
from pytest_sergas.engine.alerting import Alerting, Planned, plan
from tests.engine.alerted import AT_ONCE, Clock, Receiver, alerting, answered, found
from tests.engine.test_delivering import names, when
from tests.servers.gateways import answering

pytestmark = pytest.mark.integration

EACH_ALONE = replace(AT_ONCE, group_by=("alertname",))
NAMES = tuple(f"A{number}" for number in range(6))


def configured(root: Path, text: str) -> Planned:
    """Return what a configuration makes of channels and routes."""
    (root / "sergas.toml").write_text(text, encoding="utf-8")
    sections = load_sections(read_file(root), ("channels", "routes"), environ={})
    return plan(sections["channels"].settings, sections["routes"].settings, root, "")


def capped(receiver: Receiver, per_minute: int) -> Planned:
    settings = ChannelSettings("test", receiver.name, max_alerts_per_minute=per_minute)
    return Planned(((settings, receiver),), (EACH_ALONE,))


async def verdicts(running: Alerting, channel: str) -> Counter[tuple[str, str]]:
    events = await running.history.newest(Asked(100, channel=channel))
    return Counter((event.event, event.why) for event in events)


async def test_every_channel_has_the_cap_of_the_configuration(tmp_path: Path, clock: Clock) -> None:
    with answering() as one, answering() as other:
        text = f"""
        max_alerts_per_minute = 2
        channels = [
          {{type = "webhook", name = "one", url = "{one.url}"}},
          {{type = "webhook", name = "other", url = "{other.url}", max_alerts_per_minute = 5}},
        ]
        routes = [{{channels = ["one", "other"], group_by = ["alertname"], group_wait = 0, group_interval = 0}}]
        """
        async with alerting(None, configured(tmp_path, text), clock) as running:
            await running.took_place([found(clock(), *NAMES)])
            await when(lambda: len(one.received) == 2 and len(other.received) == 5)

            assert await verdicts(running, "one") == {("told", "new"): 2, ("not_told", "rate_cap"): 4}
            assert await verdicts(running, "other") == {("told", "new"): 5, ("not_told", "rate_cap"): 1}


async def test_cap_that_is_configured_anew_is_in_force_for_what_comes_then(clock: Clock) -> None:
    chat = Receiver()
    async with alerting(None, capped(chat, 4), clock) as running:
        await running.took_place([found(clock(), *NAMES[:2])])
        running.follow(capped(chat, 3))
        await running.took_place([found(clock(), *NAMES)])
        await chat.until(3)

        assert await verdicts(running, "chat") == {("told", "new"): 3, ("not_told", "rate_cap"): 3}


async def test_channel_that_wants_no_ends_is_told_none(tmp_path: Path, clock: Clock) -> None:
    with answering() as one, answering() as other:
        text = f"""
        channels = [
          {{type = "webhook", name = "one", url = "{one.url}", send_resolved = false}},
          {{type = "webhook", name = "other", url = "{other.url}"}},
        ]
        routes = [{{channels = ["one", "other"], group_wait = 0, group_interval = 0}}]
        """
        async with alerting(None, configured(tmp_path, text), clock) as running:
            for names_ in (["A"], [], ["B"]):
                await running.took_place([found(clock(), *names_)])
                await answered(running, clock)
            await when(lambda: len(other.received) == 3 and len(one.received) == 2)

    assert [names(request) for request in one.received] == [["A"], ["B"]]
    assert [names(request) for request in other.received] == [["A"], ["A"], ["B"]]
