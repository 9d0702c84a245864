"""What people change for one run: the ``--sergas-*`` options, and how they reach the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# Option → key of [tool.sergas]; those that name a file are relative to where the command was typed.
FILES = {"--sergas-ctrf": "ctrf", "--sergas-markdown": "markdown", "--sergas-textfile": "textfile"}
OTHERS = {"--sergas-push": "push", "--sergas-strict": "strict"}


def add(parser: pytest.Parser) -> None:
    """Register the options."""
    group = parser.getgroup("sergas", "tests by type: policies, records, publishing")
    group.addoption(
        "--no-sergas", action="store_true", help="leave everything to the other plugins; markers stay known"
    )
    group.addoption(
        "--sergas-strict", action="store_true", help="a test without a type is an error before anything runs"
    )
    group.addoption("--sergas-ctrf", metavar="FILE", help="write the run as CTRF (Common Test Report Format, JSON)")
    group.addoption("--sergas-markdown", metavar="FILE", help="write a summary of the run for people")
    group.addoption(
        "--sergas-textfile", metavar="FILE.prom", help="write the metrics for node_exporter's textfile collector"
    )
    group.addoption("--sergas-push", metavar="URL", help="push the metrics to this Pushgateway")


def given(config: pytest.Config) -> dict[str, tuple[str, Any]]:
    """Return key → (what was typed, value) for the options that were given."""
    found: dict[str, tuple[str, Any]] = {}
    for option, key in FILES.items():
        if value := config.getoption(option):
            found[key] = (option, str(Path(config.invocation_params.dir, value)))
    for option, key in OTHERS.items():
        if value := config.getoption(option):
            found[key] = (option, value)
    return found
