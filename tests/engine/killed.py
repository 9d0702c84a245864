"""A program: tells of one alert and its end, once for every step at which it can be killed with kill -9.

Each time, one process is killed at that step, and a second one goes on from the store to the end. Printed is, for each
step, its name and what the receiver got, as JSON. Processes are forked: nothing runs yet that a fork would lose. With
a wait for others the states are in the store for some time before the outbox has the notification.

    python -m tests.engine.killed DIRECTORY GROUP_WAIT_S
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pytest_sergas.core.messages import Notification
from pytest_sergas.engine.journal import Journal
from tests.engine.alerted import AT_ONCE, Clock, Receiver, alerting, found, planned

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
        kinds = {key[0] for key in journal._rows}  # noqa: SLF001  which step it is, nobody else has to know
        of = "the outbox" if "notification" in kinds else "states" if kinds else "nothing"
        if kinds:
            steps.at(f"before a commit of {of}")
        stored: bool = await commit(journal)  # type: ignore[misc]
        steps.at(f"after a commit of {of}")
        return stored

    return commit_in_steps


async def story(directory: Path, fatal: int, wait_s: float) -> None:
    """Fire until it was told; end, until that was told; and wait until the store knows both."""
    steps = Steps(fatal, directory / "step")
    receiver = Recording(directory / "got", steps)
    Journal.commit = watched(Journal.commit, steps)  # type: ignore[method-assign, assignment]
    clock = Clock()
    plan = planned(receiver, routes=[replace(AT_ONCE, group_wait_s=wait_s)])
    async with alerting(directory / "sergas.db", plan, clock) as running:
        if not receiver.has("firing"):
            await running.took_place([found(clock(), "A")])
            clock.pass_by(wait_s)
            await receiver.when(lambda: receiver.has("firing"))
        await running.took_place([found(clock())])
        clock.pass_by(wait_s)
        await receiver.when(lambda: receiver.has("resolved"))


def forked(directory: Path, fatal: int, wait_s: float) -> bool:
    """Run the story in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(story(directory, fatal, wait_s))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(root: Path, wait_s: float) -> None:
    for fatal in range(1, LIMIT):
        directory = root / str(fatal)
        directory.mkdir()
        if not forked(directory, fatal, wait_s):
            return
        forked(directory, 0, wait_s)
        got = [json.loads(line) for line in (directory / "got").read_text("utf-8").splitlines()]
        print(json.dumps({"step": (directory / "step").read_text("utf-8"), "got": got}))  # noqa: T201  what it is for


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
