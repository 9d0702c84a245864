"""An alerting whose clock and receiver belong to the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_sergas.channels import Channel
from pytest_sergas.config.channels import ChannelSettings
from pytest_sergas.config.groups import GroupSettings
from pytest_sergas.core.alerts import Active, Evaluation
from pytest_sergas.core.clock import Now
from pytest_sergas.core.messages import Notification
from pytest_sergas.core.routes import Route
from pytest_sergas.core.series import Labels, canonical
from pytest_sergas.core.silences import Window
from pytest_sergas.engine.alerting import Alerting, Planned
from pytest_sergas.engine.store import Store

PATIENT_S = 60.0
AT_ONCE = Route("all", channels=("chat",), group_wait_s=0, group_interval_s=0, cooldown_s=0)


@dataclass(slots=True)
class Clock:
    """Time that passes when a test says so."""

    monotonic_s: float = 1_000.0
    wall_s: float = 1_700_000_000.0

    def __call__(self) -> Now:
        return Now(self.monotonic_s, self.wall_s)

    def pass_by(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds


@dataclass
class Receiver:
    """A channel that keeps what it is told; ``answers`` are exceptions for the first attempts, in their order."""

    name: str = "chat"
    answers: list[Exception] = field(default_factory=list)
    resend_s: float | None = None
    secrets: tuple[str, ...] = ()
    got: list[Notification] = field(default_factory=list)
    attempts: int = 0
    gate: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, notification: Notification, *, timeout_s: float) -> str:
        del timeout_s
        self.attempts += 1
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.answers:
            raise self.answers.pop(0)
        self.got.append(notification)
        self.arrived.set()
        return "thank you"

    async def until(self, count: int) -> None:
        """Wait until it was told ``count`` notifications."""
        await self.when(lambda: len(self.got) >= count)

    async def when(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not holds():
                await self.arrived.wait()
                self.arrived.clear()

    def told(self) -> list[str]:
        """Return what it was told, one line for each notification."""
        return [
            ", ".join(f"{alert.name} {'fires' if alert.status == 'firing' else 'over'}" for alert in one.alerts)
            for one in self.got
        ]


async def answered(running: Alerting, clock: Clock) -> None:
    """Wait until every message has been taken or refused, and nothing is due."""
    async with asyncio.timeout(PATIENT_S):
        while True:
            lines = running._outbox._lines.values()  # noqa: SLF001  when it is quiet, nobody else has to know
            due_s = running._ledger.next_s  # noqa: SLF001
            if not any(line.waiting or line.sending for line in lines) and due_s > clock.monotonic_s:
                return
            await asyncio.sleep(0)  # nothing says that an answer has been noted


def labels(name: str, level: str = "warning", **more: str) -> Labels:
    return canonical({"alertname": name, "severity": level, **more}.items())


def found(now: Now, *names: str | Labels, rule: str = "rule", gone: Sequence[Labels] = ()) -> Evaluation:
    """Return an evaluation that finds these alerts."""
    active = tuple(Active(labels(name) if isinstance(name, str) else name, 1.0) for name in names)
    return Evaluation(rule, now, active, source="tests", gone=frozenset(gone))


def planned(*receivers: Channel, routes: Sequence[Route] = (AT_ONCE,), windows: Sequence[Window] = ()) -> Planned:
    channels = tuple((ChannelSettings("test", receiver.name), receiver) for receiver in receivers)
    return Planned(channels, tuple(routes), tuple(windows), "https://sergas.example.org")


@asynccontextmanager
async def alerting(path: Path | None, plan: Planned, clock: Clock) -> AsyncIterator[Alerting]:
    """Run an alerting on the store at ``path``."""
    store = await Store.open(path, GroupSettings())
    try:
        running = Alerting(plan, store, clock)
        await running.start()
        try:
            yield running
        finally:
            await running.stop()
    finally:
        await store.close()
