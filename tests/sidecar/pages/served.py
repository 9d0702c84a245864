"""A sidecar inside this process, on a thread of its own, so that a test says what the rules have found."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from pytest_sergas.config.serve import MEMORY, ServeSettings
from pytest_sergas.core.alerts import Active, Evaluation
from pytest_sergas.core.series import canonical
from pytest_sergas.engine import clock
from pytest_sergas.engine.engine import Engine, EngineSettings
from pytest_sergas.sidecar.app import create_app
from pytest_sergas.sidecar.auth import Authentication
from pytest_sergas.sidecar.guard import Access, Guard
from tests.servers.process import until

T = TypeVar("T")

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running sidecar."""

    url: str
    engine: Engine
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` where the engine runs, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_PATIENCE_S)

    def finds(self, *active: Active, rule: str = "r") -> None:
        """Let an evaluation of a rule find these alerts, and no other."""
        self.run(self.engine.alerting.took_place([Evaluation(rule, clock.read(), active, source="shop")]))


def alert(name: str, severity: str = "warning", value: float = 1.0, **labels: str) -> Active:
    summary = labels.pop("summary", f"{name} is so")
    pairs = canonical({"alertname": name, "severity": severity, **labels}.items())
    return Active(pairs, value, (("summary", summary),))


@contextmanager
def served(root: Path) -> Iterator[Served]:
    """Run a sidecar that keeps everything in memory, and yield it once it answers."""
    loop = asyncio.new_event_loop()
    engine = Engine(EngineSettings(root, serve=ServeSettings(store=MEMORY)))
    app = Guard(create_app(engine), Access(Authentication({})))
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, ws="none"))

    async def serve() -> None:
        await engine.start()
        await server.serve()
        await engine.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the sidecar answers")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(f"http://127.0.0.1:{port}", engine, loop)
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_S)
        loop.close()
