"""``[[channels]]``: what every channel has; what belongs to its kind is passed on as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

import pytest

from pytest_sergas.config import load, load_sections
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.file import read_file
from pytest_sergas.errors import ConfigurationError

pytestmark = pytest.mark.unit


def read(root: Path, text: str, environ: Mapping[str, str] | None = None) -> ChannelsSettings:
    (root / "sergas.toml").write_text(text, encoding="utf-8")
    readings = load_sections(read_file(root), ("channels",), environ=environ or {})
    settings: ChannelsSettings = readings["channels"].settings
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
        (
            "sergas.toml: [channels.team] timeout = 0: allowed: seconds, more than 0 and at most 600"
            ", such as 90 or '1h30m'"
        ),
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


def test_plugin_judges_the_channels_too(tmp_path: Path) -> None:
    (tmp_path / "sergas.toml").write_text("max_alerts_per_minute = 3\n[[channels]]\nnonsense = 1\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="has no type"):
        load(tmp_path, environ={})


# The specification's short forms


def options(settings: ChannelsSettings) -> dict[str, Mapping[str, object]]:
    return {channel.name: channel.options for channel in settings.channels}


def test_short_forms_are_channels_like_the_others(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        max_alerts_per_minute = 7
        slack_webhook_url = "https://hooks.example/1"
        alert_webhook_url = "https://shop.example/alerts"
        smtp = {host = "smtp.gmail.com", port = 587, username = "alerts@company.com", password = "password"}
        [[channels]]
        type = "slack"
        webhook_url = "https://hooks.example/2"
        """,
    )

    assert options(settings) == {
        "slack": {"webhook_url": "https://hooks.example/2"},
        "slack-2": {"webhook_url": "https://hooks.example/1"},
        "webhook": {"url": "https://shop.example/alerts"},
        "email": {
            "host": "smtp.gmail.com",
            "port": 587,
            "username": "alerts@company.com",
            "password": "password",
            "to": "alerts@company.com",
        },
    }
    assert {channel.max_alerts_per_minute for channel in settings.channels} == {7}


def test_environment_alone_makes_channels(tmp_path: Path) -> None:
    environ = {
        "SLACK_WEBHOOK_URL": "https://hooks.example/1",
        "ALERT_WEBHOOK_URL": "https://shop.example/alerts",
        "SMTP_HOST": "smtp.gmail.com",
        "SMTP_PORT": "587",
        "SMTP_USERNAME": "alerts@company.com",
        "SMTP_PASSWORD": "12345",
    }

    assert options(read(tmp_path, "", environ)) == {
        "slack": {"webhook_url": "https://hooks.example/1"},
        "webhook": {"url": "https://shop.example/alerts"},
        "email": {
            "host": "smtp.gmail.com",
            "port": 587,
            "username": "alerts@company.com",
            "password": "12345",
            "to": "alerts@company.com",
        },
    }


def test_variable_comes_before_the_table(tmp_path: Path) -> None:
    text = 'smtp = {host = "a", from = "x@company.com", to = "team@company.com"}'

    assert options(read(tmp_path, text, {"SMTP_HOST": "b"})) == {
        "email": {"host": "b", "from": "x@company.com", "to": "team@company.com"}
    }


def test_empty_variables_are_not_set(tmp_path: Path) -> None:
    names = ("SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "SMTP_HOST", "SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_TO")

    assert read(tmp_path, "", {**dict.fromkeys(names, ""), "SMTP_PORT": "587", "SMTP_FROM": " "}).channels == ()


def test_account_that_is_no_address_sends_to_whom_the_variables_name(tmp_path: Path) -> None:
    environ = {"SMTP_HOST": "smtp.example", "SMTP_USERNAME": "apikey", "SMTP_PASSWORD": "12345"}
    named = {**environ, "SMTP_FROM": "alerts@shop.example", "SMTP_TO": "team@shop.example, lead@shop.example"}

    (options_of_mail,) = options(read(tmp_path, "", named)).values()

    assert options_of_mail["from"] == "alerts@shop.example"
    assert options_of_mail["to"] == ("team@shop.example", "lead@shop.example")


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        pytest.param(
            {"SMTP_HOST": "smtp.example", "SMTP_USERNAME": "apikey", "SMTP_PASSWORD": "12345"},
            "environment: SMTP_HOST = 'smtp.example': nobody is named who receives the mail, and the user name "
            "'apikey' is not an address; set smtp_to (SMTP_TO), or remove this",
            id="account that is no address",
        ),
        pytest.param(
            {"SMTP_HOST": "localhost", "SMTP_PORT": "25"},
            "environment: SMTP_HOST = 'localhost': nobody is named who receives the mail, and there is no user name "
            "either; set smtp_to (SMTP_TO), or remove this",
            id="host alone",
        ),
        pytest.param(
            {"SMTP_USERNAME": "a"},
            "environment: SMTP_USERNAME = 'a': of no use without a mail server; set smtp_host (SMTP_HOST)",
            id="account alone",
        ),
        pytest.param(
            {"SMTP_PASSWORD": "12345"},
            "environment: SMTP_PASSWORD = '***': of no use without a mail server; set smtp_host (SMTP_HOST)",
            id="password alone",
        ),
        pytest.param(
            {"SMTP_HOST": "a", "SMTP_TO": "team"},
            "environment: SMTP_TO = 'team': allowed: an address such as alerts@shop.example",
            id="recipient that is no address",
        ),
    ],
)
def test_mail_that_nobody_would_get_is_refused(tmp_path: Path, environ: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, "", environ)

    assert raised.value.faults == (fault,)


def test_smtp_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, 'smtp = "mail"')

    assert raised.value.faults == (
        (
            "sergas.toml: smtp = 'mail': "
            'allowed: a table, such as {host = "mail.shop.example", to = "team@shop.example"}'
        ),
    )


def test_address_of_a_channel_is_not_shown(tmp_path: Path) -> None:
    (channel,) = read(tmp_path, '[[channels]]\ntype = "apprise"\nurl = "tgram://hunter2/chat"\n').channels

    assert channel.public()["url"] == "***"


def test_channels_without_names_keep_theirs_wherever_they_stand(tmp_path: Path) -> None:
    def names(*paths: str) -> dict[str, str]:
        text = "".join(f'[[channels]]\ntype = "webhook"\nurl = "http://127.0.0.1/{path}"\n' for path in paths)
        return {str(one.options["url"])[-1]: one.name for one in read(tmp_path, text).channels}

    assert names("a") == {"a": "webhook"}
    all_of_them = names("a", "b", "c")
    assert len(set(all_of_them.values())) == 3
    assert all(re.fullmatch(r"webhook-[0-9a-f]{6}", name) for name in all_of_them.values())
    for paths in permutations("abcd", 3):
        others = names(*paths)
        assert {path: name for path, name in others.items() if path in all_of_them} == {
            path: all_of_them[path] for path in paths if path in all_of_them
        }
    assert all_of_them.items() >= names("c", "a").items()
