"""``sergas channels``: the notification channels of the configuration, and whether they work."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from pytest_sergas.channels import Channel
from pytest_sergas.channels.registry import create
from pytest_sergas.channels.sender import Sender
from pytest_sergas.channels.trial import trial
from pytest_sergas.config import load_sections
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.config.file import read_file, read_named
from pytest_sergas.core import kinds
from pytest_sergas.core.text import keep_end
from pytest_sergas.errors import DeliveryError, FinalError, SergasError
from pytest_sergas.sidecar import logs

HELP = "list the notification channels of the configuration, or send a trial message"
EXAMPLES = """\
A trial message is an alert SergasTrial of the level info that says that nothing
is wrong. It goes out from here, not from a running sidecar, and is sent once.

exit status: 0 everything was taken, 1 something was not, 2 the configuration
cannot be used

examples:
  sergas channels                list them
  sergas channels test team      send a trial message through this one
"""

_NAME = 18  # columns
_NOT_TAKEN = 1
_NOT_SENT = "not sent"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_config(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    test = actions.add_parser("test", help="send a trial message", allow_abbrev=False)
    _add_config(test)
    test.add_argument("names", nargs="+", metavar="NAME", help="the channels to try")


def run(arguments: argparse.Namespace) -> int:
    named = getattr(arguments, "config", None)
    file = read_named(Path(named)) if named else read_file(Path.cwd())
    settings: ChannelsSettings = load_sections(file, ("channels",), environ=os.environ)["channels"].settings
    if arguments.action != "test":
        create(settings.channels, file.root)  # so that what cannot be used is told
        print("\n".join(_rows(settings.channels)))
        return 0
    chosen = _chosen(arguments.names, settings.channels)
    logs.configure("info", "plain")  # where the channel "log" writes
    outcomes = asyncio.run(_try(chosen, create(chosen, file.root)))
    for entry, outcome in zip(chosen, outcomes, strict=True):
        print(f"{entry.name}: {outcome}")
    return _NOT_TAKEN if any(outcome.startswith(_NOT_SENT) for outcome in outcomes) else 0


def _add_config(parser: argparse.ArgumentParser) -> None:
    # Before the action and behind it; without a default, because that of the second would hide the first.
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the configuration; default: pyproject.toml or sergas.toml here",
    )


async def _try(entries: Sequence[ChannelSettings], channels: Sequence[Channel]) -> list[str]:
    """Send a trial message through all of them at the same time, and return what became of each."""
    return await asyncio.gather(*(_attempt(*pair) for pair in zip(entries, channels, strict=True)))


async def _attempt(entry: ChannelSettings, channel: Channel) -> str:
    message = trial(entry.name, key=f"sergas-trial-{uuid.uuid4()}", wall_s=time.time())
    try:
        said = await Sender(channel).send(message, timeout_s=entry.timeout)
    except FinalError as error:
        return f"{_NOT_SENT}: {error} (an alert would not be tried again)"
    except DeliveryError as error:
        return f"{_NOT_SENT}: {error} (an alert would be tried again)"
    return f"sent: {said}" if said else "sent"


def _rows(entries: Sequence[ChannelSettings]) -> list[str]:
    if not entries:
        return ["no channels; [[channels]] in the configuration says where notifications go"]
    rows = [f"{keep_end(entry.name, _NAME):<{_NAME}} {entry.type}" for entry in entries]
    return [f"{'channel':<{_NAME}} type", *rows]


def _chosen(names: Sequence[str], entries: Sequence[ChannelSettings]) -> list[ChannelSettings]:
    known = {entry.name: entry for entry in entries}
    for name in names:
        if name not in known:
            near = kinds.nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(map(repr, known)) or 'none'}"
            raise SergasError(f"sergas: there is no channel {name!r}; {hint}")
    return [known[name] for name in names]
