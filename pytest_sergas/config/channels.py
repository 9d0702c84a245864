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

from pytest_sergas.config.channel_options import CHANNEL_OPTIONS
from pytest_sergas.config.entries import NAME, Entries, wrong_options
from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds

_MAIL = ("host", "port", "username", "password", "from", "to")
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
    smtp_from: str = ""
    smtp_to: tuple[str, ...] = ()


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
    mail = _mail(general)
    if general.smtp or "host" in mail:
        yield "email", mail


def _mail(general: ChannelsSettings) -> dict[str, object]:
    """Return the options of the channel that the keys of mail ask for; without ``to`` where nobody is named."""
    given = {name: getattr(general, f"smtp_{name}") for name in _MAIL}
    mail = {**general.smtp, **{name: value for name, value in given.items() if value}}
    # The specification names nobody who receives: the account itself does.
    account = mail.get("from", mail.get("username", ""))
    if "to" not in mail and isinstance(account, str) and "@" in account:
        mail["to"] = account
    return mail


def _check(values: Mapping[str, Any]) -> Iterator[kinds.Wrong]:
    """Refuse mail that would go to nobody, or through no server."""
    general = ChannelsSettings(**{key: value for key, value in values.items() if key != "channels"})
    mail = _mail(general)
    if "host" not in mail:
        for key in ("smtp_username", "smtp_password", "smtp_from", "smtp_to"):
            if value := getattr(general, key):
                yield kinds.Wrong(
                    (key,), value, f"of no use without a mail server; set smtp_host ({_variable('smtp_host')})"
                )
    elif "to" not in mail:
        named = mail.get("username")
        why = f"the user name {named!r} is not an address" if named else "there is no user name either"
        yield kinds.Wrong(
            ("smtp_host",) if general.smtp_host else ("smtp",),
            general.smtp_host or general.smtp,
            f"nobody is named who receives the mail, and {why}; set smtp_to ({_variable('smtp_to')}), or remove this",
        )


def _variable(key: str) -> str:
    return key.upper()


def _recipients(value: object) -> tuple[str, ...]:
    listed = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    recipients: tuple[str, ...] = CHANNEL_OPTIONS["email"]["to"].kind(listed)
    return recipients


def _names(kind: str) -> Iterator[str]:
    yield kind
    for number in count(2):
        yield f"{kind}-{number}"


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise kinds.NotAllowed('allowed: a table, such as {host = "mail.shop.example", to = "team@shop.example"}')
    known = CHANNEL_OPTIONS["email"]
    if wrong := tuple(kinds.Wrong((key,), shown, text) for key, shown, text in wrong_options(value, known, ())):
        raise kinds.WrongInside(wrong, {})
    return value


def _written(key: str, value: Any) -> object:
    return [entry.public() for entry in value] if key == "channels" else value


_channels = Entries(
    "channel",
    COMMON,
    'has no type; say where notifications go, such as type = "slack"',
    CHANNEL_OPTIONS,
    "pytest_sergas.channels",
    hidden=SECRET,
)

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
            "smtp_from": Key(
                CHANNEL_OPTIONS["email"]["from"].kind, "who sends; default: smtp_username", '"a@shop.example"'
            ),
            "smtp_to": Key(
                _recipients,
                "who receives, with commas or as a list; default: who sends",
                '["team@shop.example", "lead@shop.example"]',
            ),
        }
    ),
    settings=_settings,
    environment=MappingProxyType(
        {
            _variable(name): name
            for name in ("slack_webhook_url", "alert_webhook_url", *(f"smtp_{option}" for option in _MAIL))
        }
    ),
    check=_check,
    written=_written,
    at_top=True,
)
