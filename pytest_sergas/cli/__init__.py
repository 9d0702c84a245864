"""The command line, ``sergas``: one module for each command, and only the one that is used is imported.

A command is a module in this package whose name has no leading underscore, with

    HELP                     what it does, in one line
    EXAMPLES                 lines for the end of its help
    add_arguments(parser)    its arguments
    run(arguments) -> int    does it, and returns the exit status

Exit status: 0 done; 2 what was asked for, or the configuration, cannot be used. Results go to standard
output, faults to standard error.
"""

from __future__ import annotations

import argparse
import io
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from pytest_sergas.core import kinds
from pytest_sergas.errors import SergasError, StoreError
from pytest_sergas.version import VERSION

DONE = 0
CANNOT = 2

_EXAMPLES = """\
examples:
  sergas init             write a commented sergas.toml to start from
  sergas config           show what is in force, and where each value comes from
  sergas COMMAND --help   explain a command
"""


class Command(Protocol):
    """A module of this package."""

    HELP: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        argv: the arguments without the program's name; those of the process unless given.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except StoreError as error:
        print(f"sergas: {error}", file=sys.stderr)  # its text is also what a request is answered with
        return CANNOT
    except SergasError as error:
        print(error, file=sys.stderr)
        return CANNOT
    except BrokenPipeError:
        # The reader has gone (sergas config | head); nothing is left to say, also not when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


def command_names() -> list[str]:
    """Return the names of the commands that exist."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def _run(argv: list[str]) -> int:
    names = command_names()
    argv = _command_first(argv)
    asked = argv[0] if argv else ""
    parser = _parser(names if asked not in names else [asked])
    if asked and asked not in names and not asked.startswith("-"):
        near = kinds.nearest(asked, names)
        hint = f"did you mean {near!r}?" if near else f"allowed: {', '.join(names)}"
        parser.error(f"unknown command {asked!r}; {hint}")
    if not asked:
        parser.print_help(sys.stderr)
        return CANNOT
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(arguments.parser, unknown)
    return cast("Command", import_module(f"{__name__}.{arguments.command}")).run(arguments)


def _command_first(argv: list[str]) -> list[str]:
    """Return ``argv`` with the options that stand before the command behind it."""
    from pytest_sergas.cli._options import FLAGS, VALUED

    at = 0
    while at < len(argv) and argv[at].partition("=")[0] in {*VALUED, *FLAGS}:
        at += 2 if argv[at] in VALUED else 1
    return [*argv[at : at + 1], *argv[:at], *argv[at + 1 :]]


def _refuse(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """End with the usage of the command that does not know these arguments, and with the nearest right option."""
    # What argparse prints is the one place that it tells its options in.
    known = re.findall(r"--[a-z][a-z-]*", parser.format_help())
    nearest = (kinds.nearest(word.partition("=")[0], known) for word in unknown if word.startswith("--"))
    hints = [f"did you mean {near}?" for near in nearest if near]
    parser.error("; ".join((f"unrecognized arguments: {' '.join(unknown)}", *hints)))


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sergas",
        description="Say what kind of test it is; everything else follows. The tests themselves run with pytest.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sergas {VERSION}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name in names:
        command = cast("Command", import_module(f"{__name__}.{name}"))
        own = commands.add_parser(
            name,
            help=command.HELP,
            description=f"{command.HELP[0].upper()}{command.HELP[1:]}.",
            epilog=command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        own.set_defaults(parser=own)  # an action's own parser, where there is one, takes its place
        command.add_arguments(own)
    return parser
