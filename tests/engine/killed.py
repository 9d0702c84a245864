"""A program: tells of one alert and its end, once for every step at which it can be killed with kill -9.

Each time, one process is killed at that step, and a second one goes on from the store to the end. Printed is, for each
step, its name and what the receiver got, as JSON. Processes are forked: nothing runs yet that a fork would lose.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from pytest_sergas.core.messages import Notification
from pytest_sergas.engine.journal import Journal
from tests.engine.alerted import Clock, Receiver, alerting, found, planned

LIMIT = 100


class Steps:
    """Counts the steps, and kills the process at the one that was asked for; 0 for none."""

    def __init__(self, fatal: int, name: Path) -> None:
        self.fatal = fatal
        self.count = 0
        self._name = name

    def at(self, name: str) -> None:
        self.count += 1
        if self.count == self.fatal:
            self._name.write_text(name, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)


class Recording(Receiver):
    """A receiver whose memory is a file, which outlives the process."""

    def __init__(self, file: Path, steps: Steps) -> None:
        super().__init__()
        self._file = file
        self._steps = steps

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        self._steps.at(f"before {notification.status} is sent")
        with self._file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps([notification.status, notification.key]) + "\n")
        self._steps.at(f"after {notification.status} was sent")
        return await super().send(notification, timeout_s=timeout_s)

    def has(self, status: str) -> bool:
        return self._file.exists() and f'"{status}"' in self._file.read_text("utf-8")


def watched(commit: Callable[[Journal], object], steps: Steps) -> Callable[[Journal], object]:
    async def commit_in_steps(journal: Journal) -> bool:
        if not journal.is_empty:
            steps.at("before a commit")
        stored: bool = await commit(journal)  # type: ignore[misc]
        steps.at("after a commit")
        return stored

    return commit_in_steps


async def story(directory: Path, fatal: int) -> None:
    """Fire until it was told; end, until that was told; and wait until the store knows both."""
    steps = Steps(fatal, directory / "step")
    receiver = Recording(directory / "got", steps)
    Journal.commit = watched(Journal.commit, steps)  # type: ignore[method-assign, assignment]
    clock = Clock()
    async with alerting(directory / "sergas.db", planned(receiver), clock) as running:
        if not receiver.has("firing"):
            await running.took_place([found(clock(), "A")])
            await receiver.when(lambda: receiver.has("firing"))
        await running.took_place([found(clock())])
        await receiver.when(lambda: receiver.has("resolved"))


def forked(directory: Path, fatal: int) -> bool:
    """Run the story in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(story(directory, fatal))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(root: Path) -> None:
    for fatal in range(1, LIMIT):
        directory = root / str(fatal)
        directory.mkdir()
        if not forked(directory, fatal):
            return
        forked(directory, 0)
        got = [json.loads(line) for line in (directory / "got").read_text("utf-8").splitlines()]
        print(json.dumps({"step": (directory / "step").read_text("utf-8"), "got": got}))  # noqa: T201  what it is for


if __name__ == "__main__":
    main(Path(sys.argv[1]))
