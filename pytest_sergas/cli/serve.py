"""``sergas serve``: the sidecar."""

from __future__ import annotations

import argparse
import os
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

from pytest_sergas.cli._options import add_config, config_file
from pytest_sergas.config import SECTIONS, load_sections
from pytest_sergas.config.serve import LOG_FORMATS, LOG_LEVELS, address
from pytest_sergas.errors import SergasError

HELP = "take pushes and test runs, collect metrics, check health"
EXAMPLES = """\
SIGTERM ends it when the requests in progress are answered; SIGHUP reads the
configuration again.

examples:
  sergas serve                                listen on 127.0.0.1:8000
  sergas serve --listen 127.0.0.1:0           take a free port, and print it
  sergas serve --store /var/lib/sergas.db
"""

EXTRA = "sergas: the sidecar needs more packages: pip install 'pytest-sergas[sidecar]'"

# Option → key of [serve]; those that name a file are relative to where the command was typed.
_FILES = {"store": "store", "web_config": "web_config"}
_OTHERS = {"listen": "listen", "log_level": "log_level", "log_format": "log_format"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument("--listen", metavar="ADDRESS:PORT", help="where to listen; port 0 is any free one")
    parser.add_argument("--store", metavar="FILE", help='where everything is kept; ":memory:" keeps nothing')
    parser.add_argument(
        "--web-config", metavar="FILE", help="web configuration file of the exporter toolkit: TLS, users"
    )
    parser.add_argument(
        "--allow-unauthenticated", action="store_true", help="listen beyond this machine although nobody has to log in"
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="what is logged")
    parser.add_argument("--log-format", choices=LOG_FORMATS, help="how it is logged")


def run(arguments: argparse.Namespace) -> int:
    try:
        from pytest_sergas.sidecar.serve import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pytest_sergas"):
            raise
        raise SergasError(EXTRA) from error
    serve(lambda: settings(arguments), allow_unauthenticated=arguments.allow_unauthenticated)
    return 0


def settings(arguments: argparse.Namespace) -> Any:
    """Return the settings in force: what was typed, then what the configuration says."""
    from pytest_sergas.engine.engine import EngineSettings

    file = config_file(arguments)
    parts = {field.name for field in fields(EngineSettings)}
    names = tuple(name for name in SECTIONS if name in parts)
    readings = load_sections(file, names, environ=os.environ, options={"serve": _given(arguments)})
    port = address(readings["serve"].settings.listen).port
    instance = f"{socket.gethostname()}:{port}" if port else ""
    return EngineSettings(
        file.root, **{name: reading.settings for name, reading in readings.items()}, instance=instance
    )


def _given(arguments: argparse.Namespace) -> dict[str, tuple[str, Any]]:
    """Return key → (what was typed, value) for the options that were given."""
    found: dict[str, tuple[str, Any]] = {}
    for name, key in {**_FILES, **_OTHERS}.items():
        if (value := getattr(arguments, name)) is not None:
            is_file = name in _FILES and value not in {"", ":memory:"}
            found[key] = (f"--{name.replace('_', '-')}", str(Path.cwd() / value) if is_file else value)
    return found
