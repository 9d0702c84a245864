"""The options that several commands share, before the command, behind it and behind its action."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_sergas.config.file import ConfigFile, find_file, read_named

# Options with a value that may stand before the command.
VALUED = ("--config", "--url", "--token-file", "--username", "--password-file")
FLAGS = ("--json",)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``; without a default, because that of an action would hide what was typed before it."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the configuration; default: pyproject.toml or sergas.toml here or above",
    )


def add_sidecar(parser: argparse.ArgumentParser) -> None:
    """Add where a sidecar is, and what shows that we may ask it."""
    add_config(parser)
    for option, metavar, text in (
        ("--url", "URL", "where the sidecar is"),
        ("--token-file", "FILE", "file that holds a bearer token"),
        ("--username", "NAME", "user name, with --password-file"),
        ("--password-file", "FILE", "file that holds the password"),
    ):
        parser.add_argument(option, metavar=metavar, default=argparse.SUPPRESS, help=text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="write JSON, for other programs")


def add_action(actions: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Add an action of a command and return its parser, which is the one that refuses what it does not know."""
    parser: argparse.ArgumentParser = actions.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(parser=parser)
    return parser


def add_list(actions: Any, text: str) -> None:
    """Add the action ``list``, which is what a command does without any."""
    listing = add_action(actions, "list", text)
    add_config(listing)
    add_json(listing)


def as_json(arguments: argparse.Namespace) -> bool:
    """Whether ``--json`` was typed, wherever."""
    return bool(getattr(arguments, "json", False))


def config_file(arguments: argparse.Namespace) -> ConfigFile:
    """Return the file that ``--config`` names, or the one that configures the directory in which we are."""
    named = getattr(arguments, "config", None)
    return read_named(Path(named)) if named else find_file(Path.cwd())
