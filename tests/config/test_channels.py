"""``[[channels]]``: what every channel has; what belongs to its kind is passed on as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sergas.config import load, load_sections
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.file import read_file
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


def read(root: Path, text: str) -> ChannelsSettings:
    (root / "sergas.toml").write_text(text, encoding="utf-8")
    settings: ChannelsSettings = load_sections(read_file(root), ("channels",), environ={})["channels"].settings
    return settings


def test_without_channels_there_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ChannelsSettings(10, ())


def test_channel_has_the_general_cap_unless_it_has_its_own(tmp_path: Path) -> None:
    text = """
        max_alerts_per_minute = 5
        [[channels]]
        type = "log"
        [[channels]]
        type = "slack"
        name = "team"
        timeout = 1
        send_resolved = false
        max_alerts_per_minute = 60
        webhook_url_file = "slack.txt"
    """

    assert read(tmp_path, text) == ChannelsSettings(
        5,
        (
            ChannelSettings("log", "log", max_alerts_per_minute=5),
            ChannelSettings("slack", "team", 1.0, False, 60, {"webhook_url_file": "slack.txt"}),  # noqa: FBT003
        ),
    )


def test_two_channels_of_one_type_get_names_of_their_own(tmp_path: Path) -> None:
    channels = read(tmp_path, 'channels = [{type = "log"}, {type = "log"}]').channels

    assert [channel.name for channel in channels] == ["log", "log-2"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = """
        max_alerts_per_minute = 0
        [[channels]]
        type = "slack"
        name = "team"
        timeout = 0
        send_resolved = "no"
        max_alerts_per_minute = 0
        [[channels]]
        name = "team"
    """

    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)

    assert raised.value.faults == (
        ("sergas.toml: max_alerts_per_minute = 0: allowed: notifications in a minute, a whole number from 1 to 10000"),
        "sergas.toml: [channels.team] timeout = 0: allowed: seconds, more than 0 and at most 600",
        "sergas.toml: [channels.team] send_resolved = 'no': allowed: true or false",
        (
            "sergas.toml: [channels.team] max_alerts_per_minute = 0: "
            "allowed: notifications in a minute, a whole number from 1 to 10000"
        ),
        (
            "sergas.toml: [channels] team = {name = ...}: "
            'has no type; say where notifications go, such as type = "slack"'
        ),
        "sergas.toml: [channels.team] name = 'team': is the name of another channel already; give each its own",
    )


def test_what_is_no_list_of_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, '[channels]\ntype = "log"\n')

    assert raised.value.faults == (
        "sergas.toml: channels = {type = ...}: allowed: a list of tables, each of which begins with [[channels]]",
    )


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    settings = read(tmp_path, '[[channels]]\ntype = "slack"\nwebhook_url = "https://hooks.example/hunter2"\n')

    assert "hunter2" not in repr(settings)


def test_plugin_leaves_the_channels_alone(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text("max_alerts_per_minute = 3\n[[channels]]\nnonsense = 1\n", encoding="utf-8")

    assert load(tmp_path, environ={}).root == tmp_path
