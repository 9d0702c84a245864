"""A server as a process of its own: started on a free port, ready when it is handed out, gone afterwards."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")

START_S = 30.0
STOP_S = 10.0

# How the servers of the Prometheus project say which port the system gave them.
_LISTENING = re.compile(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')


@contextmanager
def server(command: Sequence[str | Path], log: Path, *, ready: str = "/-/ready") -> Iterator[str]:
    """Run ``command``, which takes a free port of 127.0.0.1 itself, and yield its URL once it is ready.

    Args:
        log: file for what it prints; the port is read there.
        ready: path that answers 200, or 401 where everything wants credentials, once it is ready.

    Raises:
        AssertionError: it ended, or was not ready within `START_S`; the text has what it printed.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:

        def address() -> str:
            assert process.poll() is None, f"{command[0]} ended:\n{log.read_text('utf-8')}"
            found = _LISTENING.search(log.read_text("utf-8"))
            return f"http://{found[1]}" if found else ""

        url = until(address, f"{command[0]} listens", log)
        until(lambda: answers(url + ready), f"{command[0]} is ready", log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        finally:
            process.kill()


def until(look: Callable[[], Value], what: str, log: Path | None = None, *, deadline_s: float = START_S) -> Value:
    """Call ``look`` until it returns something true, and return that.

    Raises:
        AssertionError: it did not within ``deadline_s``.
    """
    end_s = time.monotonic() + deadline_s
    while not (value := look()):
        if time.monotonic() > end_s:
            printed = log.read_text("utf-8") if log else ""
            raise AssertionError(f"waited {deadline_s:g} s in vain: {what}\n{printed}")
        time.sleep(0.02)  # the processes that are waited for send no event
    return value


def answers(url: str) -> bool:
    """Whether ``url`` is answered with 200 or 401."""
    try:
        with urllib.request.urlopen(url, timeout=START_S):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401
    except OSError:
        return False


def get(url: str) -> str:
    """Return what ``url`` answers."""
    with urllib.request.urlopen(url, timeout=START_S) as answer:
        return str(answer.read().decode())
