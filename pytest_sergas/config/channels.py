"""``[[channels]]``: where notifications go.

    [[channels]]
    type = "slack"
    name = "team"
    webhook_url_file = "/run/secrets/slack"

What every channel has is read here; the other options belong to its kind, which judges them (channels/). The
specification's short forms, in the file and in the environment, are channels like the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any

from pytest_sergas.config.entries import NAME, Entries
from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds

SECRET = ("url",)  # options whose names do not say that their values may be a secret
_PER_MINUTE = kinds.whole(1, 10_000, "notifications in a minute")

COMMON: Mapping[str, Key] = MappingProxyType(
    {
        "type": Key(NAME, "the kind of channel", '"slack"'),
        "name": Key(NAME, "the channel's name; default: the type", '"team"'),
        "timeout": Key(
            kinds.duration(0, 600, "seconds", open_below=True), "seconds that one attempt to send may take", "10"
        ),
        "send_resolved": Key(kinds.boolean, "tell when an alert is over, too", "true"),
        "max_alerts_per_minute": Key(
            _PER_MINUTE, "of notifications; default: max_alerts_per_minute beside the channels", "10"
        ),
    }
)


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One entry of ``[[channels]]``.

    Attributes:
        timeout: seconds for one attempt.
        options: what belongs to the kind of channel, as it is written.
    """

    type: str
    name: str
    timeout: float = 10.0
    send_resolved: bool = True
    max_alerts_per_minute: int = 10
    options: Mapping[str, object] = field(default_factory=dict, repr=False)

    def public(self) -> dict[str, object]:
        """Return everything as it would be written; whoever shows it hides the secrets."""
        own = {key: getattr(self, key) for key in COMMON}
        return {**own, **self.options, **{key: "***" for key in SECRET if key in self.options}}


@dataclass(frozen=True, slots=True)
class ChannelsSettings:
    """The channels in force, the cap of those that say nothing themselves, and the specification's short forms.

    Attributes:
        channels: all of them; those of the short forms are the last.
        smtp: options of a channel of the type ``email``; the keys below come before what it says.
    """

    max_alerts_per_minute: int = 10
    channels: tuple[ChannelSettings, ...] = ()
    slack_webhook_url: str = field(default="", repr=False)
    alert_webhook_url: str = field(default="", repr=False)
    smtp: Mapping[str, object] = field(default_factory=dict, repr=False)
    smtp_host: str = ""
    smtp_port: int | None = None
    smtp_username: str = ""
    smtp_password: str = field(default="", repr=False)


def _settings(**values: Any) -> ChannelsSettings:
    entries: Iterable[Mapping[str, Any]] = values.pop("channels", ())
    general = ChannelsSettings(**values)
    defaults = {"max_alerts_per_minute": general.max_alerts_per_minute}
    channels = [ChannelSettings(**{**defaults, **entry}) for entry in entries]
    for kind, options in _short_forms(general):
        taken = {channel.name for channel in channels}
        name = next(name for name in _names(kind) if name not in taken)
        channels.append(
            ChannelSettings(kind, name, max_alerts_per_minute=general.max_alerts_per_minute, options=options)
        )
    return ChannelsSettings(**values, channels=tuple(channels))


def _short_forms(general: ChannelsSettings) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield type and options of the channels that the specification's own keys and variables ask for."""
    if general.slack_webhook_url:
        yield "slack", {"webhook_url": general.slack_webhook_url}
    if general.alert_webhook_url:
        yield "webhook", {"url": general.alert_webhook_url}
    given = {name: getattr(general, f"smtp_{name}") for name in ("host", "port", "username", "password")}
    mail = {**general.smtp, **{name: value for name, value in given.items() if value}}
    # The specification names nobody who receives: the account itself does. A host alone may be meant for others.
    account = mail.get("from", mail.get("username", ""))
    if "to" not in mail and isinstance(account, str) and "@" in account:
        mail["to"] = account
    if general.smtp or ("host" in mail and "to" in mail):
        yield "email", mail


def _names(kind: str) -> Iterator[str]:
    yield kind
    for number in count(2):
        yield f"{kind}-{number}"


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise kinds.NotAllowed('allowed: a table, such as {host = "mail.shop.example", to = "team@shop.example"}')
    return value


_channels = Entries("channel", COMMON, 'has no type; say where notifications go, such as type = "slack"')

CHANNELS: Section[ChannelsSettings] = Section(
    name="channels",
    keys=MappingProxyType(
        {
            "max_alerts_per_minute": Key(
                _PER_MINUTE, "notifications for each channel; what is critical always passes", "10"
            ),
            "channels": Key(_channels, "where notifications go: a table [[channels]] for each", '[{type = "log"}]'),
            "slack_webhook_url": Key(
                kinds.text, "short for a channel slack with this webhook_url", '"https://hooks.slack.com/..."'
            ),
            "alert_webhook_url": Key(kinds.text, "short for a channel webhook with this url", '"https://shop.example"'),
            "smtp": Key(_table, "short for a channel email with these options", '{host = "mail.shop.example"}'),
            "smtp_host": Key(kinds.text, "its host", '"mail.shop.example"'),
            "smtp_port": Key(kinds.whole(1, 65_535, "a port"), "its port", "587"),
            "smtp_username": Key(
                kinds.text, "its username; who sends and receives, unless smtp says", '"a@shop.example"'
            ),
            "smtp_password": Key(kinds.text, "its password", '"..."'),
        }
    ),
    settings=_settings,
    environment=MappingProxyType(
        {
            name.upper(): name
            for name in (
                *("slack_webhook_url", "alert_webhook_url"),
                *("smtp_host", "smtp_port", "smtp_username", "smtp_password"),
            )
        }
    ),
    at_top=True,
)
