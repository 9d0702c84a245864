"""``sergas channels``: the notification channels of the configuration, and whether they work."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
import uuid
from collections.abc import Sequence

from pytest_sergas.channels import Channel
from pytest_sergas.channels.registry import create
from pytest_sergas.channels.sender import Sender
from pytest_sergas.channels.trial import trial
from pytest_sergas.cli._options import add_action, add_config, add_json, add_list, as_json, config_file
from pytest_sergas.config import load_sections
from pytest_sergas.config.channels import ChannelSettings, ChannelsSettings
from pytest_sergas.core import kinds
from pytest_sergas.core.text import keep_end
from pytest_sergas.errors import DeliveryError, FinalError, SergasError
from pytest_sergas.sidecar import logs

HELP = "list the notification channels of the configuration, or send a trial message"
EXAMPLES = """\
A trial message is an alert SergasTrial of the level info that says that nothing
is wrong. It goes out from here, not from a running sidecar, and is sent once.

exit status: 0 everything was taken, 1 something was not, 2 the configuration
cannot be used, or has no channels

examples:
  sergas channels                list them
  sergas channels test team      send a trial message through this one
"""

_NAME = 18  # columns
_NOT_TAKEN = 1
_NOT_SENT = "not sent"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    add_list(actions, "list the channels")
    test = add_action(actions, "test", "send a trial message")
    add_config(test)
    add_json(test)
    test.add_argument("names", nargs="+", metavar="NAME", help="the channels to try")


def run(arguments: argparse.Namespace) -> int:
    file = config_file(arguments)
    settings: ChannelsSettings = load_sections(file, ("channels",), environ=os.environ)["channels"].settings
    if not settings.channels:
        raise SergasError("sergas: no channels; [[channels]] in the configuration says where notifications go")
    if arguments.action != "test":
        create(settings.channels, file.root)  # so that what cannot be used is told
        listed = [{"name": entry.name, "type": entry.type} for entry in settings.channels]
        lines = _rows(settings.channels)
        print(json.dumps({"channels": listed}, indent=2) if as_json(arguments) else "\n".join(lines))
        return 0
    chosen = _chosen(arguments.names, settings.channels)
    logs.configure("info", "plain")  # where the channel "log" writes
    outcomes = asyncio.run(_try(chosen, create(chosen, file.root)))
    became = [(entry.name, outcome) for entry, outcome in zip(chosen, outcomes, strict=True)]
    if as_json(arguments):
        tried = [
            {"name": name, "sent": not outcome.startswith(_NOT_SENT), "outcome": outcome} for name, outcome in became
        ]
        print(json.dumps({"channels": tried}, indent=2))
    else:
        print("\n".join(f"{name}: {outcome}" for name, outcome in became))
    return _NOT_TAKEN if any(outcome.startswith(_NOT_SENT) for outcome in outcomes) else 0


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
