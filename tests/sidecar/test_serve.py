"""``sergas serve`` as a process: where it listens, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.process import get
from tests.servers.sidecar import sidecar

pytestmark = pytest.mark.integration


def ended(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Return what ``sergas serve`` said that ended by itself."""
    command = [sys.executable, "-m", "pytest_sergas", "serve", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)


def test_it_says_where_it_listens_and_answers_there(tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        assert get(f"{running.url}/-/ready") == "OK"
        assert get(f"{running.url}/-/healthy") == "OK"
        assert running.printed == f"listening on {running.url}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_0(number: signal.Signals, tmp_path: Path) -> None:
    with sidecar(tmp_path) as running:
        running.send(number)

        assert running.wait() == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  a stranger that listens on every address
def test_port_of_a_stranger_is_not_taken_over(host: str, tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind((host, 0))
        stranger.listen()
        port = stranger.getsockname()[1]

        done = ended(tmp_path, "--listen", f"127.0.0.1:{port}")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"sergas: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another with --listen ADDRESS:PORT\n"
    )
