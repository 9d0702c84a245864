"""A sidecar of one's own, of which health, metrics and everything at a glance can be asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

SERVE = [sys.executable, "-m", "pytest_sergas", "serve", "--listen", "127.0.0.1:0", "--store", ":memory:"]


@contextmanager
def sidecar() -> Iterator[httpx2.Client]:
    """Run a sidecar, and yield a client of it once it is ready."""
    with subprocess.Popen(SERVE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  the arguments are above
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]  # listening on http://127.0.0.1:41219
            with httpx2.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            process.terminate()
