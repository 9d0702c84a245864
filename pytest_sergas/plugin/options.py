"""What people change for one run: the ``--sergas-*`` options, and how they reach the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# Option → key of [tool.sergas]; those that name a file, and no URL, are relative to where the command was typed.
FILES = {
    "--sergas-ctrf": "ctrf",
    "--sergas-markdown": "markdown",
    "--sergas-textfile": "textfile",
    "--sergas-durations": "durations",
}
OTHERS = {"--sergas-push": "push", "--sergas-sidecar": "sidecar", "--sergas-strict": "strict"}


def add(parser: pytest.Parser) -> None:
    """Register the options."""
    group = parser.getgroup("sergas", "tests by type (policies, records, publishing)")
    option = group.addoption
    option(
        "--no-sergas",
        action="store_true",
        help="switch pytest-sergas off for this run; the markers of the types stay known",
    )
    option(
        "--sergas-strict",
        action="store_true",
        default=None,  # not given: the configuration decides
        help="a test without a type is an error, before anything runs",
    )
    option("--sergas-ctrf", metavar="FILE", help="write the run to this file as CTRF (Common Test Report Format, JSON)")
    option("--sergas-markdown", metavar="FILE", help="write a summary of the run for people to this file")
    option(
        "--sergas-textfile",
        metavar="FILE",
        help="write the run's metrics to this file, for the textfile collector of node_exporter",
    )
    option(
        "--sergas-durations",
        metavar="FILE|URL",
        help="read and update the durations of the tests in this file, for machines that share it; "
        "or read them from the sidecar at this URL",
    )
    option("--sergas-shard", metavar="I/N", type=_shard, help="run only this part of the suite, such as 2/5")
    option(
        "--sergas-detect-flaky",
        action="store_true",
        help="try the tests that are new since earlier runs, or that are named, again: in random order and alone",
    )
    option("--sergas-push", metavar="URL", help="push the run's metrics to the Pushgateway at this address")
    option("--sergas-sidecar", metavar="URL", help="send the run and its metrics to the sidecar at this address")


def given(config: pytest.Config) -> dict[str, tuple[str, Any]]:
    """Return key → (what was typed, value) for the options that were given.

    An empty value was given too: it is a fault, and the reader of the configuration says so.
    """
    found: dict[str, tuple[str, Any]] = {}
    for option, key in {**FILES, **OTHERS}.items():
        value = config.getoption(option, None)
        if value is not None:
            is_file = option in FILES and value.strip() and "://" not in value
            found[key] = (option, str(Path(config.invocation_params.dir, value)) if is_file else value)
    return found


def _shard(text: str) -> str:
    """Check a shard; it stays a text, because pytest-xdist sends the options to its workers."""
    import argparse

    from pytest_sergas.core.kinds import NotAllowed
    from pytest_sergas.core.shards import parse

    try:
        return str(parse(text))
    except NotAllowed as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used; {wrong}") from wrong
