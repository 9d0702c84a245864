"""Slack: an incoming webhook, whose address is the secret.

Texts come from whoever names a test or a label. They are escaped as Slack wants it (``&``, ``<`` and ``>``), so that
none of them calls a whole channel or hides where a link leads, and ``verbatim`` keeps Slack from finding more in them.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_sergas.channels import Context, posting, wording
from pytest_sergas.channels.options import Options
from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.core.messages import Notification

# Slack's own limits, in characters; what is longer makes it refuse the whole.
HEADER_LIMIT = 150
SECTION_LIMIT = 3_000

_MARKS = MappingProxyType({"critical": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵", "": "✅"})

_JOINER = "\u200d"

KEYS = CHANNEL_OPTIONS["slack"]


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """Sends blocks to an incoming webhook."""

    name: str
    target: posting.Target
    resend_s: float | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (*self.target.secrets, *self.target.secrets_of_address)

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        return await self.target.post(json.dumps(message(notification)).encode(), {}, timeout_s=timeout_s)


def message(notification: Notification) -> dict[str, Any]:
    """Return what the webhook takes; ``text`` is what a notification on a telephone shows."""
    mark = _MARKS[wording.level(notification)] if notification.alerts else "🔕"
    headline = f"{mark} {wording.headline(notification)}"
    remarks = [escape(remark) for remark in wording.remarks(notification)]
    if wording.is_link(url := wording.footer(notification)):
        remarks.append(f"<{escape(url)}|pytest-sergas>")
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _header(headline), "emoji": False}},
        *({"type": "section", "text": _markdown("\n".join(_lines(story)))} for story in wording.stories(notification)),
    ]
    if remarks:
        blocks.append({"type": "context", "elements": [_markdown("\n".join(remarks))]})
    return {"text": escape(headline), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def escape(text: str) -> str:
    """Return ``text`` so that Slack shows it as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(story: wording.Story) -> Iterator[str]:
    yield f"*{escape(story.title)}* {escape(story.state)}"
    yield from (escape(text) for text in (story.summary, story.description) if text)
    values = (*story.labels, ("value", story.value))
    yield " ".join(f"`{escape(f'{name}={value}').replace('`', chr(39))}`" for name, value in values)
    for name, value in story.annotations:
        yield f"<{escape(value)}|{escape(name)}>" if wording.is_link(value) else f"{escape(name)}: {escape(value)}"


def _header(text: str) -> str:
    """Return at most `HEADER_LIMIT` of the characters that one sees; none of them is cut in two."""
    if len(text) <= HEADER_LIMIT:
        return text
    end = HEADER_LIMIT - 3
    while end and (_continues(text[end]) or text[end - 1] == _JOINER):
        end -= 1
    return f"{text[:end].rstrip()}..."


def _continues(character: str) -> bool:
    """Whether ``character`` changes the one before it: an accent, a variation, a joiner."""
    return character == _JOINER or unicodedata.category(character) in {"Mn", "Me", "Mc"}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": _cut(text, SECTION_LIMIT), "verbatim": True}


def _cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, none of which is the beginning of a character that is escaped."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 3]
    ampersand = kept.rfind("&")
    return f"{kept[:ampersand] if ampersand >= 0 and ';' not in kept[ampersand:] else kept}..."


def create(context: Context) -> SlackChannel:
    options = Options(context, KEYS)
    target = posting.target(options, options.address("webhook_url"))
    options.done()
    return SlackChannel(context.settings.name, target)
