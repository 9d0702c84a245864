"""From the configuration to channels: every fault at once, and channels of one's own."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

import pytest

from pytest_sergas.channels import GROUP, Channel, Context, registry
from pytest_sergas.channels.log import LogChannel
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


def create_own(context: Context) -> Channel:
    return LogChannel(f"own {context.settings.name}")


def create_broken(context: Context) -> Channel:
    raise RuntimeError(f"no {context.settings.name}")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two channels of a stranger's: one that works and one that does not."""
    made = [EntryPoint(name, f"{__name__}:create_{name}", GROUP) for name in ("own", "broken")]
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints(made).select(group=group))


def test_channels_are_made_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    channels = registry.create([ChannelSettings("log", name) for name in ("b", "a", "c")], tmp_path)

    assert [channel.name for channel in channels] == ["b", "a", "c"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    entries = [
        ChannelSettings("lgo", "a"),
        ChannelSettings("pigeon", "b"),
        ChannelSettings("log", "c", options={"color": "red"}),
    ]

    with pytest.raises(ConfigurationError) as raised:
        registry.create(entries, tmp_path)

    built_in = ", ".join(map(repr, sorted(entry_points(group=GROUP).names)))
    assert raised.value.faults == (
        "channels.a: type = 'lgo': there is no such channel; did you mean 'log'?",
        f"channels.b: type = 'pigeon': there is no such channel; allowed: {built_in}",
        ("channels.c: color = '...': unknown key; allowed: type, name, timeout, send_resolved, max_alerts_per_minute"),
    )


@pytest.mark.usefixtures("own")
def test_channel_of_ones_own_is_made_like_a_built_in_one(tmp_path: Path) -> None:
    (channel,) = registry.create([ChannelSettings("own", "mine")], tmp_path)

    assert channel == LogChannel("own mine")


@pytest.mark.usefixtures("own")
def test_factory_that_raises_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        registry.create([ChannelSettings("broken", "mine")], tmp_path)

    assert raised.value.faults == (
        (
            "channels.mine: the channel 'broken' (tests.channels.test_registry:create_broken) cannot be made: "
            "RuntimeError: no mine"
        ),
    )
