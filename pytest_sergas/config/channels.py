"""``[[channels]]``: where notifications go.

    [[channels]]
    type = "slack"
    name = "team"
    webhook_url_file = "/run/secrets/slack"

What every channel has is read here; the other options belong to its kind, which judges them (channels/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pytest_sergas.config.entries import NAME, Entries
from pytest_sergas.config.section import Key, Section
from pytest_sergas.core import kinds

_PER_MINUTE = kinds.whole(1, 10_000, "notifications in a minute")

COMMON: Mapping[str, Key] = MappingProxyType(
    {
        "type": Key(NAME, "the kind of channel", '"slack"'),
        "name": Key(NAME, "the channel's name; default: the type", '"team"'),
        "timeout": Key(
            kinds.number(0, 600, "seconds", open_below=True), "seconds that one attempt to send may take", "10"
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
        return {**own, **self.options}


@dataclass(frozen=True, slots=True)
class ChannelsSettings:
    """The channels in force, and the cap of those that say nothing themselves."""

    max_alerts_per_minute: int = 10
    channels: tuple[ChannelSettings, ...] = ()


def _settings(**values: Any) -> ChannelsSettings:
    entries: Iterable[Mapping[str, Any]] = values.pop("channels", ())
    general = ChannelsSettings(**values)
    defaults = {"max_alerts_per_minute": general.max_alerts_per_minute}
    return ChannelsSettings(**values, channels=tuple(ChannelSettings(**{**defaults, **entry}) for entry in entries))


_channels = Entries("channel", COMMON, 'has no type; say where notifications go, such as type = "slack"')

CHANNELS: Section[ChannelsSettings] = Section(
    name="channels",
    keys=MappingProxyType(
        {
            "max_alerts_per_minute": Key(
                _PER_MINUTE, "notifications for each channel; what is critical always passes", "10"
            ),
            "channels": Key(_channels, "where notifications go: a table [[channels]] for each", '[{type = "log"}]'),
        }
    ),
    settings=_settings,
    at_top=True,
)
