"""From the configuration to channels: the kind of each entry is the name of an entry point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pytest_sergas.channels import GROUP, Channel, Context
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.core import kinds
from pytest_sergas.errors import ConfigurationError, gathered


def create(entries: Sequence[ChannelSettings], root: Path) -> tuple[Channel, ...]:
    """Return a channel for each of the ``entries``, in their order.

    Args:
        root: the directory that files are relative to.

    Raises:
        ConfigurationError: listing every fault of all of them: an unknown kind, options, a package that is
            not installed.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    faults: list[str] = []
    channels: list[Channel] = []
    for settings in entries:
        if settings.type not in known:
            faults.append(_unknown(settings, known))
            continue
        with gathered(faults):
            channels.append(_make(known[settings.type], Context(settings, root)))
    if faults:
        raise ConfigurationError(tuple(faults))
    return tuple(channels)


def _make(entry: EntryPoint, context: Context) -> Channel:
    name = context.settings.name
    try:
        channel: Channel = entry.load()(context)
    except ConfigurationError:
        raise
    except Exception as error:  # the edge of a stranger's factory
        made = f"the channel {entry.name!r} ({entry.value}) cannot be made: {type(error).__name__}: {error}"
        raise ConfigurationError((f"channels.{name}: {made}",)) from error
    return channel


def _unknown(settings: ChannelSettings, known: Mapping[str, EntryPoint]) -> str:
    near = kinds.nearest(settings.type, known)
    hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(map(repr, sorted(known)))}"
    return f"channels.{settings.name}: type = {settings.type!r}: there is no such channel; {hint}"
