"""``sergas channels``: the list, and trial messages that really arrive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sergas import cli
from tests.servers import gateways
from tests.servers.gateways import Answer, answering

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # used by Apprise
]

NONE = "sergas: no channels; [[channels]] in the configuration says where notifications go\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(*tables: str, file: str = "sergas.toml") -> None:
    Path(file).write_text("\n".join(f"[[channels]]\n{table}" for table in tables), encoding="utf-8")


def webhook(name: str, url: str) -> str:
    return f'type = "webhook"\nname = "{name}"\nurl = "{url}"\n'


def test_channels_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    write('type = "log"', webhook("a-name-that-is-too-long", "http://shop"))

    assert cli.main(["channels"]) == 0
    assert capsys.readouterr().out == ("channel            type\nlog                log\n...hat-is-too-long webhook\n")


def test_without_channels_the_list_says_how_one_gets_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["channels"]) == 2
    assert capsys.readouterr().err == NONE


def test_trial_message_arrives_and_says_that_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with answering() as server:
        write(webhook("team", server.url))

        assert cli.main(["channels", "test", "team"]) == 0
    (received,) = server.received
    (alert,) = json.loads(received.body)["alerts"]
    assert alert["labels"] == {"alertname": "SergasTrial", "receiver": "team", "severity": "info"}
    assert alert["annotations"] == {"summary": "A trial of this channel: nothing is wrong, and there is nothing to do."}
    assert capsys.readouterr().out == "team: sent: answered 200\n"


def test_each_trial_is_a_new_message(capsys: pytest.CaptureFixture[str]) -> None:
    with answering() as server:
        write(webhook("team", server.url))
        cli.main(["channels", "test", "team"])
        cli.main(["channels", "test", "team"])

    first, second = (request.headers["Idempotency-Key"] for request in server.received)
    assert first != second
    capsys.readouterr()


def test_what_was_not_taken_ends_with_1_and_says_whether_it_would_be_tried_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with gateways.refusing() as nobody, answering(lambda _: Answer(403, "no")) as server:
        write(webhook("night", nobody), webhook("day", server.url), 'type = "log"')

        assert cli.main(["channels", "test", "log", "night", "day"]) == 1
    captured = capsys.readouterr()
    assert captured.out == (
        "log: sent\n"
        f"night: not sent: {nobody}: All connection attempts failed (an alert would be tried again)\n"
        f"day: not sent: {server.url}: answered 403: no (an alert would not be tried again)\n"
    )
    assert "INFO pytest_sergas.alerts: info: SergasTrial, firing since " in captured.err


@pytest.mark.parametrize(
    "arguments", [["--config", "other.toml", "test", "team"], ["test", "team", "--config", "other.toml"]]
)
def test_configuration_elsewhere_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with answering() as server:
        write(webhook("team", server.url), file="other.toml")

        assert cli.main(["channels", *arguments]) == 0
    assert capsys.readouterr().out == "team: sent: answered 200\n"


def test_unknown_channel_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    write('type = "log"\nname = "team"')

    assert cli.main(["channels", "test", "teem"]) == 2
    assert cli.main(["channels", "test", "xyz"]) == 2
    assert capsys.readouterr().err == (
        "sergas: there is no channel 'teem'; did you mean 'team'?\n"
        "sergas: there is no channel 'xyz'; there are: 'team'\n"
    )


def test_channel_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["channels", "test", "xyz"]) == 2
    assert capsys.readouterr().err == NONE


@pytest.mark.parametrize("arguments", [["channels"], ["channels", "test", "slack"]])
def test_faults_of_the_options_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write('type = "slack"')

    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == (
        "sergas: 1 fault in the configuration\n"
        '  channels.slack: webhook_url is missing; such as webhook_url = "https://hooks.slack.com/services/..."\n'
    )


@pytest.mark.parametrize(
    "arguments", [["channels"], ["channels", "test", "slack", "webhook", "email"], ["config"], ["config", "--json"]]
)
def test_secrets_appear_nowhere(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with gateways.refusing() as url:
        port = url.rpartition(":")[2]
        write(
            f'type = "slack"\nwebhook_url = "{url}/services/hunter2"',
            f'type = "webhook"\nurl = "http://u:hunter2@127.0.0.1:{port}/?token=hunter2"',
            f'type = "email"\nhost = "127.0.0.1"\nport = {port}\nto = "a@b"\nusername = "a@b"\npassword = "hunter2"',
            'type = "apprise"\nurl = "json://hunter2@127.0.0.1"',
        )
        cli.main(arguments)

        Path("sergas.toml").write_text(
            'slack_webhook_url = "http://a/hunter2"\nalert_webhook_url = "http://a/hunter2"\n'
            'smtp_password = "hunter2"\nsmtp = {host = "a", username = "a@b", password = "hunter2"}\n'
            + Path("sergas.toml").read_text("utf-8"),
            encoding="utf-8",
        )
        cli.main(arguments)

    captured = capfd.readouterr()
    assert "slack" in captured.out
    assert "hunter2" not in captured.out + captured.err
