"""The parts that run on their own, as processes: the sidecar, and a program with a monitoring system."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.servers.sidecar import start

NOTHING: Mapping[str, str] = MappingProxyType({})
PROGRAM = """
import asyncio, os, sys, tomllib
from pathlib import Path
from pytest_sergas.monitoring import ComprehensiveMonitoringSystem

async def main():
    system = ComprehensiveMonitoringSystem({**tomllib.loads(Path("sergas.toml").read_text()), "root": os.getcwd()})
    await system.start_monitoring()
    await asyncio.to_thread(input)
    await system.stop_monitoring()

asyncio.run(main())
"""


@contextmanager
def started(part: str, directory: Path, environ: Mapping[str, str] = NOTHING) -> Iterator[None]:
    """Run a part with the configuration in ``directory``: ``serve`` or ``program``."""
    log = directory / "part.log"
    if part == "serve":
        options = ("--listen", "127.0.0.1:0", "--store", ":memory:")
        with start(directory, options, log, {"PYTHONPATH": str(directory), **environ}):
            yield
        return
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(directory), **environ},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.communicate(b"\n", timeout=60)
