"""A server that a test stops, freezes and starts again, always at the same port of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import until

# An account without rights, for servers that refuse to run as root.
NOBODY = 65_534


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that nobody else is given meanwhile.

    It is bound and not listened to: a server that sets SO_REUSEADDR, as these do, can take it, and while none
    listens a connection is refused.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


class Controlled:
    """A server process with everything that it has started, in a session of its own.

    Args:
        log: file for what it prints.
        is_ready: whether it answers.
    """

    def __init__(self, command: Sequence[str | Path], log: Path, is_ready: Callable[[], bool]) -> None:
        self._command = command
        self._log = log
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started, which runs."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
        self._process = process

        def ready() -> bool:
            assert process.poll() is None, f"{self._command[0]} ended:\n{self._log.read_text('utf-8')}"
            return self._is_ready()

        until(ready, f"{self._command[0]} is ready", self._log, deadline_s=60)

    def kill(self) -> None:
        """End it and all of its processes at once."""
        if self._process is not None:
            # What is stopped is killed, too.
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it where it is: connections are taken by the system, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server does not run"
        os.killpg(self._process.pid, number)


def unprivileged() -> list[str]:
    """Return what stands before a command that refuses to run as root.

    The account may read and enter everything all the same: tests keep their files where only their user may go.
    """
    if os.geteuid() != 0:
        return []
    account = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *account, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]


def give_away(directory: Path) -> None:
    """Make ``directory`` the property of whom `unprivileged` runs as."""
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
