"""Slack's message: what people see, and that no label calls a channel or is too long for Slack."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sergas.channels import slack
from pytest_sergas.errors import FinalError
from tests.channels.conftest import alert, make, notification, send
from tests.servers.gateways import Answer, answering

pytestmark = pytest.mark.unit


def texts(message: dict[str, Any]) -> list[str]:
    """Return the texts of the blocks."""
    return [
        part["text"]
        for block in message["blocks"]
        for part in ([block["text"]] if "text" in block else block["elements"])
    ]


def test_message_says_what_there_is_to_know() -> None:
    annotations = {"summary": "2 failed", "runbook_url": "https://wiki.example/smoke?a&b", "action": "roll back"}
    told = notification(
        alert(type="smoke", annotations=annotations), external_url="https://ci.example/sergas", truncated=2
    )

    assert slack.message(told) == {
        "text": "🔴 [FIRING:1] SmokeTestsFailed: type=smoke",
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": "🔴 [FIRING:1] SmokeTestsFailed: type=smoke", "emoji": False},
            },
            {
                "type": "section",
                "text": {
                    "type": "mrkdwn",
                    "text": (
                        "*critical: SmokeTestsFailed* firing since 2026-05-28 20:26:40 UTC\n"
                        "2 failed\n"
                        "`type=smoke` `value=2`\n"
                        "action: roll back\n"
                        "<https://wiki.example/smoke?a&amp;b|runbook_url>"
                    ),
                    "verbatim": True,
                },
            },
            {
                "type": "context",
                "elements": [
                    {
                        "type": "mrkdwn",
                        "text": "2 more alerts of this group\n<https://ci.example/sergas|pytest-sergas>",
                        "verbatim": True,
                    }
                ],
            },
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


@pytest.mark.parametrize(
    ("level", "status", "mark"),
    [
        ("critical", "firing", "🔴"),
        ("error", "firing", "🟠"),
        ("warning", "firing", "🟡"),
        ("info", "firing", "🔵"),
        ("critical", "resolved", "✅"),
    ],
)
def test_mark_shows_the_level(level: str, status: Any, mark: str) -> None:
    assert slack.message(notification(alert(level=level, status=status)))["text"].startswith(mark)


def test_summary_of_what_was_held_back_has_a_mark_of_its_own() -> None:
    told = notification(alert(), held_back=3)
    message = slack.message(type(told)((), (), "team", "firing", "key", "group", held_back=3))

    assert texts(message) == [
        "🔕 [HELD BACK:3]",
        "3 notifications held back in the last minute: the cap of this channel",
    ]


@pytest.mark.parametrize("text", ["<!channel>", "<!here|x>", "<@U123>", "<https://evil.example|https://bank.example>"])
def test_label_calls_nobody_and_hides_no_link(text: str) -> None:
    message = slack.message(
        notification(alert(text, team=text, annotations={"summary": text, "x": text}), note=text, external_url=text)
    )

    shown = [message["text"], *texts(message)[1:]]
    assert not any(text in part for part in shown)
    assert any(slack.escape(text) in part for part in shown)
    assert message["blocks"][0]["text"]["type"] == "plain_text"  # where Slack looks for nothing


def test_header_is_cut_by_what_one_sees() -> None:
    for value in ("R&D <x> " * 7, "&" * 58):
        told = slack.message(notification(alert("A", a=value, b=value, c=value)))

        headline = html.unescape(told["text"])
        assert told["blocks"][0]["text"]["text"] == f"{headline[:147].rstrip()}..."


@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("drawn", ["e\u0301", "👩\u200d👧"], ids=["accent", "joined"])
def test_header_cuts_no_character_in_two(drawn: str, offset: int) -> None:
    value = "y" * offset + drawn * (54 // len(drawn))
    told = slack.message(notification(alert("A", a=value, b=value, c=value)))

    kept = told["blocks"][0]["text"]["text"].removesuffix("...")
    assert len(kept) > 130
    assert told["text"][len(kept)] not in {"\u0301", "\u200d"}
    assert kept[-1] != "\u200d"


def test_three_characters_are_escaped() -> None:
    assert slack.escape("<!channel> & <a|b>") == "&lt;!channel&gt; &amp; &lt;a|b&gt;"


@settings(deadline=None, max_examples=30)  # each is large
@given(st.text(max_size=50), st.integers(1, 30))
def test_message_is_within_the_limits_of_slack(text: str, count: int) -> None:
    long = text * 300 + "&" * 5_000
    told = notification(
        *(alert(long, n=str(n), a=long, annotations={"summary": long, "b": long}) for n in range(count)),
        note=long,
    )
    message = slack.message(told)

    assert len(message["blocks"]) <= 50
    assert len(message["blocks"][0]["text"]["text"]) <= 150
    assert all(0 < len(part) <= 3_000 for part in texts(message))
    assert not any(part.removesuffix("...").rpartition("&")[2] in {"a", "am", "amp"} for part in texts(message)[1:])


@pytest.mark.integration
async def test_message_arrives(tmp_path: Path) -> None:
    (tmp_path / "slack").write_text("", encoding="utf-8")
    with answering(lambda _: Answer(200, "ok")) as server:
        (tmp_path / "slack").write_text(f"{server.url}/services/T/B/hunter2", encoding="utf-8")
        said = await send(make("slack", tmp_path, webhook_url_file="slack"), notification())

    assert said == "answered 200"
    assert server.received[0].path == "/services/T/B/hunter2"
    assert json.loads(server.received[0].body) == slack.message(notification())


@pytest.mark.integration
async def test_address_is_not_told_when_slack_refuses(tmp_path: Path) -> None:
    with answering(lambda request: Answer(404, f"no_service at {request.path}")) as server:
        url = f"{server.url}/services/T/B/hunter2"
        with pytest.raises(FinalError) as raised:
            await send(make("slack", tmp_path, webhook_url=url), notification())

    assert str(raised.value) == f"{server.url}: answered 404: no_service at /***"
